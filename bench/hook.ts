/** What libvirt's hook adds to an operation: hooks/qemu against a real hook server, beside a shell that exits at once. */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atMost, type Benchmark, type Result, resultOf } from "./result.ts";

const SCRIPT = new URL("../hooks/qemu", import.meta.url).pathname;
/** A domain's XML has about this size. */
const XML = `<domain>\n  <name>vm</name>\n${"  <device/>\n".repeat(700)}</domain>\n`;
const PAIRS = 40;
const TOGETHER = 200;
/** libvirtd's max_workers: so many hooks run at a time. */
const WORKERS = 20;

export const hook: Benchmark = { name: "hook", run };

async function run(): Promise<Result[]> {
  const dir = mkdtempSync(join(tmpdir(), "uplinkd-bench-"));
  const server = fork(new URL("./hook-server.ts", import.meta.url), [join(dir, "hook.sock")]);
  await once(server, "message");
  const env = { ...process.env, UPLINKD_RUN_DIR: dir, UPLINKD_ETC_DIR: dir };
  const shell = () => timeProcess("/bin/sh", ["-c", "exit 0"], env);
  const call = (at: number) =>
    timeProcess("/bin/sh", [SCRIPT, `vm${at}`, "start", "begin", "-"], env);
  try {
    const shells: number[] = [];
    const hooks: number[] = [];
    for (let pair = 0; pair < PAIRS; pair += 1) {
      shells.push(await shell());
      hooks.push(await call(pair));
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
    const crowd = await runTogether(call);
    const plain = resultOf("", "ms", await runTogether(shell)).median;
    const slowest = Math.max(...crowd) - plain;
    results.push(
      resultOf(
        `added by the hook, ${TOGETHER} started together, ${WORKERS} workers`,
        "ms",
        crowd.map((ms) => ms - plain),
      ),
      resultOf(`the slowest of the ${TOGETHER}`, "ms", [slowest], atMost(50)),
    );
    server.send("how many?");
    const [answered] = (await once(server, "message")) as [number];
    const lacking = PAIRS + TOGETHER - answered;
    results.push(resultOf("hooks that went on without an answer", "hooks", [lacking], atMost(0)));
    return results;
  } finally {
    server.kill();
    rmSync(dir, { recursive: true });
  }
}

async function runTogether(call: (at: number) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const work = async () => {
    while (next < TOGETHER) times.push(await call(next++));
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return times;
}

function timeProcess(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, stdio: ["pipe", "ignore", "inherit"] });
    child.on("error", reject);
    child.on("exit", () => resolve(performance.now() - startMs));
    // A shell that exits at once doesn't read what it is given.
    child.stdin.on("error", () => undefined);
    child.stdin.end(XML);
  });
}
