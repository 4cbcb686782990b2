/** The daemon's side of bench/hook.ts, in a thread of its own: whoever starts the hooks is busy starting them. */
import { parentPort, workerData } from "node:worker_threads";
import { startHookServer } from "../src/hook/server.ts";

/** What the thread is given: where it listens, and a shared number of what it has answered. */
export interface HookServerData {
  readonly path: string;
  readonly answered: Int32Array;
}

const { path, answered } = workerData as HookServerData;
const server = await startHookServer({
  listen: { path },
  handle: () => {
    Atomics.add(answered, 0, 1);
    return { accept: true };
  },
  // Counted by who started them: the server tells of those that it answered only because their time was over.
  report: () => undefined,
});
parentPort?.once("message", () => {
  void server.close().then(() => parentPort?.close());
});
parentPort?.postMessage("listening");
