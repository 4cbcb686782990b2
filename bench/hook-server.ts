/**
 * The daemon's side of bench/hook.ts, a process of its own as the daemon is: whoever starts the hooks is busy starting them.
 * Listens at the path that it is given and says so; asked by any message, it tells how many it has answered.
 */
import { startHookServer } from "../src/hook/server.ts";

let answered = 0;
await startHookServer({
  listen: { path: process.argv[2] ?? "" },
  handle: () => {
    answered += 1;
    return { accept: true };
  },
  // Counted by who started them: the server tells of those that it answered only because their time was over.
  report: () => undefined,
});
process.on("message", () => process.send?.(answered));
process.send?.("listening");
