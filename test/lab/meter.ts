import { type ChildProcess, spawn } from "node:child_process";
import { cached } from "./cache.ts";
import { inNamespace } from "./command.ts";
import { LabFault } from "./fault.ts";

/** A place that traffic comes from or goes to; the host itself has "" for its namespace. */
export interface End {
  readonly namespace: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** One run of the meter program (meter.c), in a namespace. */
export class Meter {
  readonly #process: ChildProcess;
  readonly #end: Promise<string>;

  constructor(namespace: string, ...args: readonly string[]) {
    const [program = "", ...rest] = [...inNamespace(namespace), cached("meter/meter"), ...args];
    this.#process = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let complaints = "";
    this.#process.stdout?.on("data", (data: Buffer) => {
      output += data.toString();
    });
    this.#process.stderr?.on("data", (data: Buffer) => {
      complaints += data.toString();
    });
    this.#end = new Promise((resolve, reject) => {
      this.#process.on("error", reject);
      this.#process.on("close", (code) => {
        if (code === 0) resolve(output);
        else reject(new LabFault(`meter ${args.join(" ")}: ${complaints.trim()}`));
      });
    });
    // Whoever awaits the report hears of it; until then it is no unhandled rejection.
    this.#end.catch(() => undefined);
  }

  /** Asks it to come to its end. */
  stop(): void {
    // `ip netns exec` becomes the program it runs, so this is the meter's own pid.
    this.#process.kill("SIGTERM");
  }

  /** Its account, once it has ended. The caller states the mode's shape. */
  async report<Report>(): Promise<Report> {
    return JSON.parse(await this.#end) as Report;
  }
}
