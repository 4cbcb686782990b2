import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "./wait.ts";

/** What comes last may still be on its way from the kernel through two programs; milliseconds. */
const SETTLE_MS = 400;

/** Listens to the kernel's own news of qdiscs, classes, filters and links, as `tc monitor` and `ip monitor` print it. */
export class KernelWatch {
  readonly #children: readonly ChildProcess[];
  #tc = "";
  #ip = "";

  private constructor() {
    const listen = (program: string, args: readonly string[], take: (text: string) => void) => {
      const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
      child.stdout.setEncoding("utf8").on("data", take);
      return child;
    };
    this.#children = [
      listen("tc", ["monitor"], (text) => {
        this.#tc += text;
      }),
      listen("ip", ["monitor", "link"], (text) => {
        this.#ip += text;
      }),
    ];
  }

  /** @param provoke makes news of a known kind, again and again, until both programs are seen to listen */
  static async start(
    provoke: () => void,
    isTold: (tc: string, ip: string) => boolean,
  ): Promise<KernelWatch> {
    const watch = new KernelWatch();
    await until("tc monitor and ip monitor to listen", async () => {
      provoke();
      await sleep(100);
      return isTold(watch.#tc, watch.#ip);
    });
    await sleep(SETTLE_MS);
    watch.#tc = "";
    watch.#ip = "";
    return watch;
  }

  /** All that was told since the start, or since it was last read. */
  async read(): Promise<{ readonly tc: string; readonly ip: string }> {
    await sleep(SETTLE_MS);
    const told = { tc: this.#tc, ip: this.#ip };
    this.#tc = "";
    this.#ip = "";
    return told;
  }

  stop(): void {
    for (const child of this.#children) child.kill();
  }
}
