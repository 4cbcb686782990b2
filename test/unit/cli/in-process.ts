/** uplinkctl run in the test's own process: everything of it but its first file, without the cost of a start. */
import { runUplinkctl, type Surroundings } from "../../../src/cli/program.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param around what differs from a world in which nothing is there */
export async function runInProcess(
  args: readonly string[],
  around: Partial<Surroundings> = {},
): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const nothing = () => Promise.reject(new Error("not asked for"));
  const code = await runUplinkctl(args, {
    version: "0",
    environment: {},
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    nowMs: () => 0,
    openLibvirt: nothing,
    openScreen: null,
    ask: async () => true,
    releaseWithoutDaemon: nothing,
    ...around,
  });
  return { code, stdout, stderr };
}
