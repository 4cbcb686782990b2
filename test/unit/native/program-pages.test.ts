import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dropProgramPages, ownBytes, parseMappings } from "../../../src/native/program-pages.ts";

const SMAPS = `00400000-0082e000 r--p 00000000 fe:00 531                                /opt/a b/node
Size:               4280 kB
Rss:                1024 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
0082e000-00830000 r--p 00000000 fe:00 531                                /opt/a b/node
Anonymous:             0 kB
Swap:                 24 kB
VmFlags: rd mr mw me
00830000-00840000 r--p 00000000 fe:00 531                                /opt/a b/node
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me ac
072a7000-072dc000 r--p 06ea7000 fe:00 531                                /opt/a b/node
Rss:                 212 kB
Anonymous:            24 kB
Swap:                  0 kB
VmFlags: rd mr mw me
072dc000-07307000 rw-p 06edc000 fe:00 531                                /opt/a b/node
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me
07307000-07335000 rw-p 00000000 00:00 0                                  [heap]
Anonymous:           100 kB
7f40c7dc0000-7f40c7fd5000 r-xp 01627000 fe:00 531                        /opt/a b/node
Rss:                2048 kB
`;

function fileBytes(): number {
  return Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
}

describe("the program's pages", () => {
  it("are told apart from what is or was the process's own, here or on swap; what isn't said counts against it", () => {
    const found = parseMappings(SMAPS);
    assert.deepEqual(
      found.map(({ start, end, isWhollyFile }) => [start, end, isWhollyFile]),
      [
        [0x400000, 0x82e000, true],
        [0x82e000, 0x830000, false],
        [0x830000, 0x840000, false],
        [0x72a7000, 0x72dc000, false],
        [0x72dc000, 0x7307000, false],
        [0x7f40c7dc0000, 0x7f40c7fd5000, false],
      ],
    );
    assert.deepEqual(new Set(found.map(({ file }) => file)), new Set(["/opt/a b/node"]));
    assert.deepEqual(parseMappings(""), []);
    assert.deepEqual(parseMappings("400000-500000 r-xp\nAnonymous: no kB\n"), []);
  });

  it("are let go, and the process goes on with what it needs", () => {
    const before = fileBytes();
    assert.ok(dropProgramPages() > 10e6);
    const after = fileBytes();
    assert.ok(after < before * 0.8, `${before} bytes before, ${after} after`);
    assert.equal(JSON.stringify(JSON.parse("[1.5,2]")), "[1.5,2]");
  });

  it("don't count for what the process has of its own", () => {
    const own = ownBytes() ?? 0;
    assert.ok(own > 1e6 && own < process.memoryUsage.rss());
  });
});
