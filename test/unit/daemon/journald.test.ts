import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { formatLine, openLogWriter } from "../../../src/daemon/journald.ts";
import { messageIdOf } from "../../../src/daemon/message-id.ts";
import type { ToldEvent } from "../../../src/model/event.ts";
import * as libc from "../../../src/native/libc.ts";

const HOSTILE = "web\n<0>panic: all is lost\nPRIORITY=0\r\u001b[2J\u009b31m\u2028\u0000";

const moved: ToldEvent = {
  sequence: 7,
  atMs: 0,
  severity: "warning",
  id: "vnic-moved",
  revision: 3,
  message: "domain web1 goes by nic1",
  fields: { domain: "web1", mac: "52:54:00:00:00:01", uplink: "", microseconds: 42 },
};

describe("a line on stderr", () => {
  it("is one, without anything that a terminal or journald would obey", () => {
    assert.match(
      formatLine({ ...moved, message: `domain ${HOSTILE} stopped` }),
      /^<4>vnic-moved: [^\p{Cc}\u2028\u2029]*\n$/u,
    );
  });
});

describe("an entry for journald", () => {
  let folder: string;
  let reader: number;
  let lines: string[];
  const receive = (): string | null => {
    const buffer = new Uint8Array(1 << 20);
    const length = libc.receive(reader, buffer, libc.MSG_DONTWAIT);
    return length < 0 ? null : Buffer.from(buffer.subarray(0, length)).toString();
  };
  const drain = (): string[] => {
    const all: string[] = [];
    for (let entry = receive(); entry !== null; entry = receive()) all.push(entry);
    return all;
  };
  const open = () =>
    openLogWriter(path.join(folder, "journal"), (line) => {
      lines.push(line);
    });

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "uplinkd-journald-"));
    lines = [];
    reader = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
    assert.equal(libc.bind(reader, libc.unixAddress(path.join(folder, "journal"))), 0);
  });
  afterEach(() => {
    libc.close(reader);
    rmSync(folder, { recursive: true });
  });

  it("has priority, identity, revision and the event's fields; unknown ones are no field of journald's", () => {
    open()(moved);
    assert.deepEqual(receive()?.trimEnd().split("\n"), [
      "MESSAGE=vnic-moved: domain web1 goes by nic1",
      "PRIORITY=4",
      `MESSAGE_ID=${messageIdOf("vnic-moved")}`,
      "SYSLOG_IDENTIFIER=uplinkd",
      "SYSLOG_FACILITY=3",
      "UPLINKD_EVENT=vnic-moved",
      "REVISION=3",
      "DOMAIN=web1",
      "MAC=52:54:00:00:00:01",
      "UPLINKD_MICROSECONDS=42",
    ]);
    assert.deepEqual(lines, []);
  });

  it("gets no field by what others call their domains", () => {
    open()({ ...moved, message: HOSTILE, fields: { domain: HOSTILE } });
    const keys = receive()
      ?.trimEnd()
      .split("\n")
      .map((line) => line.slice(0, line.indexOf("=")));
    assert.deepEqual(keys, [
      ...["MESSAGE", "PRIORITY", "MESSAGE_ID", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY"],
      ...["UPLINKD_EVENT", "REVISION", "DOMAIN"],
    ]);
  });

  it("never waits for a journald that reads nothing, and tells later how many are missing", () => {
    const write = open();
    const count = 5000;
    for (let sent = 0; sent < count; sent += 1) write(moved);
    const taken = drain().length;
    assert.ok(taken > 0 && taken < count, `${taken} taken`);
    write(moved);
    const [first = "", second = ""] = drain();
    assert.match(first, new RegExp(`: ${count - taken} lines are missing`));
    assert.match(first, new RegExp(`^MESSAGE_ID=${messageIdOf("lines-lost")}$`, "m"));
    assert.match(second, /^MESSAGE=vnic-moved/);
    write(moved);
    assert.match(receive() ?? "", /^MESSAGE=vnic-moved/);
    assert.deepEqual(lines, []);
  });

  it("is a line on stderr while there is no journald, or where it is too long for a datagram", () => {
    const write = open();
    write({ ...moved, message: "x".repeat(4 << 20) });
    assert.equal(lines.length, 1);
    libc.close(reader);
    rmSync(path.join(folder, "journal"));
    write(moved);
    assert.deepEqual(lines[1], formatLine(moved));
    reader = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
    assert.equal(libc.bind(reader, libc.unixAddress(path.join(folder, "journal"))), 0);
    write(moved);
    assert.match(receive() ?? "", /^MESSAGE=vnic-moved/);
  });
});
