import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { cached } from "./cache.ts";

/**
 * Waits until no other lab runs on this machine: two at once would make each other's times untrue. Labs in which no time
 * is judged may run beside each other. The lock is a flock(1)'s, which ends with us however we end.
 * @param shared other labs that share may run meanwhile
 * @returns the function that ends our turn
 */
export async function takeTurn(shared: boolean): Promise<() => void> {
  // For who develops a test in which no time matters.
  if (process.env["UPLINKD_LAB_TURN"] === "none") return () => undefined;
  mkdirSync(cached(), { recursive: true });
  const holder = spawn(
    "flock",
    [shared ? "--shared" : "--exclusive", cached("turn"), "sh", "-c", "echo ours; exec cat"],
    { stdio: ["pipe", "pipe", "inherit"], detached: true },
  );
  const waiting = setTimeout(() => {
    process.stderr.write("waiting for another lab on this machine to end\n");
  }, 2000);
  await new Promise<void>((resolve, reject) => {
    holder.on("error", reject);
    holder.stdout.once("data", () => resolve());
    holder.once("exit", () => reject(new Error("flock ended without its turn")));
  });
  clearTimeout(waiting);
  return () => holder.stdin.end();
}
