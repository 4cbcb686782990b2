/** What libvirt's hook adds to an operation: hooks/qemu against a real hook server, beside a shell that exits at once. */
import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { atMost, type Benchmark, type Result, resultOf } from "./result.ts";

const SCRIPT = new URL("../hooks/qemu", import.meta.url).pathname;
/** What starts them; see there. */
const STARTS = new URL("./hook-starts.c", import.meta.url).pathname;
/** A domain's XML has about this size. */
const XML = `<domain>\n  <name>vm</name>\n${"  <device/>\n".repeat(700)}</domain>\n`;
const PAIRS = 40;
const TOGETHER = 200;
const CROWDS = 7;
/** libvirtd's max_workers: so many hooks run at a time. */
const WORKERS = 20;
const SHELL = ["/bin/sh", "-c", "exit 0"];
/** The least that a hook can be that a shell guards and perl speaks for. */
const BARE = ["/bin/sh", "-c", "LC_ALL=C perl -e 1; exit 0"];
const HOOK = ["/bin/sh", SCRIPT, "vm%d", "start", "begin", "-"];

/** Milliseconds above the median of as many shells that exit at once. */
interface Crowd {
  readonly added: number[];
  /** Above the shell of the same rank, from the fastest to the slowest: what all wait for, who does nothing, too, left out. */
  readonly mostByRank: number;
  readonly slowestShell: number;
  readonly slowestBare: number;
}

const runFile = promisify(execFile);

export const hook: Benchmark = { name: "hook", run };

async function run(): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), "uplinkd-bench-"));
  const [starts, xml] = [join(dir, "hook-starts"), join(dir, "domain.xml")];
  writeFileSync(xml, XML);
  const server = fork(new URL("./hook-server.ts", import.meta.url), [join(dir, "hook.sock")]);
  const env = { ...process.env, UPLINKD_RUN_DIR: dir, UPLINKD_ETC_DIR: dir };
  /** Milliseconds of each start. */
  const time = async (count: number, workers: number, program: readonly string[]) => {
    const words = [String(count), String(workers), xml, ...program];
    const { stdout } = await runFile(starts, words, { env });
    return stdout.trim().split("\n").map(Number);
  };
  try {
    await once(server, "message");
    await runFile("tcc", ["-o", starts, STARTS, "-lpthread"]);
    const shells: number[] = [];
    const hooks: number[] = [];
    for (let pair = 0; pair < PAIRS; pair += 1) {
      shells.push(...(await time(1, 1, SHELL)));
      hooks.push(...(await time(1, 1, HOOK)));
    }
    const shellMs = resultOf("", "ms", shells).median;
    const results = [
      resultOf("a shell that exits at once", "ms", shells),
      resultOf(
        "added by the hook, one at a time",
        "ms",
        hooks.map((ms) => ms - shellMs),
        atMost(5),
      ),
    ];
    const crowds: Crowd[] = [];
    for (let round = 0; round < CROWDS; round += 1) {
      const plain = await time(TOGETHER, WORKERS, SHELL);
      const { median, max } = resultOf("", "ms", plain);
      const hooked = await time(TOGETHER, WORKERS, HOOK);
      const added = hooked.map((ms) => ms - median);
      const [slower, faster] = [hooked, plain].map((times) => times.toSorted((a, b) => a - b));
      const byRank = slower?.map((ms, rank) => ms - (faster?.[rank] ?? 0)) ?? [];
      const bare = await time(TOGETHER, WORKERS, BARE);
      crowds.push({
        added,
        mostByRank: Math.max(...byRank),
        slowestShell: max - median,
        slowestBare: Math.max(...bare) - median,
      });
    }
    const slowest = crowds.map(({ added }) => Math.max(...added));
    results.push(
      resultOf(
        `added by the hook, ${TOGETHER} started together, ${WORKERS} workers`,
        "ms",
        crowds.flatMap(({ added }) => added),
      ),
      resultOf(`the slowest of each ${TOGETHER}`, "ms", slowest, atMost(50)),
      resultOf(
        `the most above the shell of the same rank, of each ${TOGETHER}`,
        "ms",
        crowds.map(({ mostByRank }) => mostByRank),
      ),
      resultOf(
        `the slowest of each ${TOGETHER} shells, above their median`,
        "ms",
        crowds.map(({ slowestShell }) => slowestShell),
      ),
      resultOf(
        `the slowest of each ${TOGETHER} shells that start perl and do no more, above that`,
        "ms",
        crowds.map(({ slowestBare }) => slowestBare),
      ),
    );
    server.send("how many?");
    const [answered] = (await once(server, "message")) as [number];
    const lacking = PAIRS + CROWDS * TOGETHER - answered;
    results.push(resultOf("hooks that went on without an answer", "hooks", [lacking], atMost(0)));
    return results;
  } finally {
    server.kill();
    rmSync(dir, { recursive: true });
  }
}
