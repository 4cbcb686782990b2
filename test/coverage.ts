/**
 * `npm run coverage [-- FILE...]`: how much of src the unit tests reach, by Node's own measure (NODE_V8_COVERAGE): for each room the
 * part of its functions that ran at all, and of its characters that ran. Files named are run alone: the fuzzers, by default.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly Range[];
  }[];
}

const ROOT = join(import.meta.dirname, "..");
/** Tests with properties on grammars of input: see docs/testing.md, "Bad input". */
const FUZZERS = [
  ...globSync("test/unit/{libvirt,policy,hook,control,netlink}/*.test.ts", { cwd: ROOT }).filter(
    (file) => readFileSync(join(ROOT, file), "utf8").includes("fast-check"),
  ),
  "test/unit/fuzz/corpus.test.ts",
];

const named = process.argv.slice(2);
const files = named.length > 0 ? named : FUZZERS;
const folder = mkdtempSync(join(tmpdir(), "uplinkd-coverage-"));
try {
  const mocha = join(ROOT, "node_modules/mocha/bin/mocha.js");
  const { status } = spawnSync(
    process.execPath,
    [mocha, "--no-config", "--ui", "bdd", "--timeout", "120000", "--reporter", "dot", ...files],
    { cwd: ROOT, stdio: "inherit", env: { ...process.env, NODE_V8_COVERAGE: folder } },
  );
  const rooms = new Map<
    string,
    { functions: number; called: number; bytes: number; ran: number }
  >();
  const base = pathToFileURL(join(ROOT, "src/")).href;
  for (const [url, script] of readScripts(folder)) {
    if (!url.startsWith(base)) continue;
    const file = url.slice(base.length);
    const room = `src/${file.split("/").slice(0, -1).join("/")}`;
    const sum = rooms.get(room) ?? { functions: 0, called: 0, bytes: 0, ran: 0 };
    const size = readFileSync(join(ROOT, "src", file)).length;
    const isRun = new Uint8Array(size).fill(1);
    for (const { functionName, ranges } of script.functions) {
      if (functionName !== "") sum.functions += 1;
      if (functionName !== "" && (ranges[0]?.count ?? 0) > 0) sum.called += 1;
      // Inner ranges come later, and hold.
      for (const range of ranges)
        isRun.fill(range.count > 0 ? 1 : 0, range.startOffset, range.endOffset);
    }
    sum.bytes += size;
    sum.ran += isRun.reduce((total, one) => total + one, 0);
    rooms.set(room, sum);
  }
  for (const [room, { functions, called, bytes, ran }] of [...rooms].sort()) {
    const part = (of: number, all: number) => `${((100 * of) / Math.max(1, all)).toFixed(1)} %`;
    console.log(
      `${room.padEnd(16)} ${part(called, functions).padStart(8)} of ${functions} functions, ${part(ran, bytes).padStart(8)} of the text`,
    );
  }
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Of each script the run that reached most. */
function readScripts(directory: string): ReadonlyMap<string, Script> {
  const scripts = new Map<string, Script>();
  const called = ({ functions }: Script) =>
    functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0).length;
  for (const file of globSync("*.json", { cwd: directory })) {
    const { result } = JSON.parse(readFileSync(join(directory, file), "utf8")) as {
      result: Script[];
    };
    for (const script of result) {
      const known = scripts.get(script.url);
      if (known === undefined || called(script) > called(known)) scripts.set(script.url, script);
    }
  }
  return scripts;
}
