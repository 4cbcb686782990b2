/** What a daemon costs that has nothing to do, on the machine itself: no bond, no libvirt, its own namespace. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runtimeOfUnit } from "../../test/lab/daemon.ts";
import { atMost, type Result, resultOf } from "../result.ts";

const PROGRAM = path.join(import.meta.dirname, "..", "..", "dist", "uplinkd.mjs");
/** Its start is none of it. */
const SETTLE_MS = 15_000;
const IDLE_MS = 60_000;
/** USER_HZ, which /proc counts in on every platform that we support. */
export const TICKS_PER_SECOND = 100;

/** Samples, timers and the monitor's thread go on without a bond, too; only what there is to read is less. */
export async function measureIdleHere(): Promise<readonly Result[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "uplinkd-idle-"));
  const directories = ["config", "run", "state"].flatMap((name) => {
    const directory = path.join(folder, name);
    mkdirSync(directory);
    return [`--${name}-dir`, directory];
  });
  const { flags, environment } = runtimeOfUnit();
  const child = spawn(process.execPath, [...flags, PROGRAM, ...directories], {
    stdio: "ignore",
    env: { ...process.env, ...environment },
  });
  try {
    await sleep(SETTLE_MS);
    if (child.exitCode !== null) throw new Error(`uplinkd ended with ${child.exitCode}`);
    const before = ticksOf(child.pid ?? 0);
    await sleep(IDLE_MS);
    const seconds = (ticksOf(child.pid ?? 0) - before) / TICKS_PER_SECOND;
    const percent = (seconds / (IDLE_MS / 1000)) * 100;
    return [
      resultOf(
        "an idle daemon without a bond, on the machine itself",
        "% of a core",
        [percent],
        atMost(0.2),
      ),
    ];
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

/** Processor time of all threads of a process: utime and stime are fields 14 and 15 of proc(5), two stand before the bracket. */
export function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
