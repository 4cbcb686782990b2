import net from "node:net";
import path from "node:path";
import type { Lab } from "./boot.ts";

type Spoken = Pick<Lab, "terminal" | "stdout" | "stderr">;

/** Of the serial ports by which the guest speaks to this side. */
export function portNames(lab: Spoken): readonly string[] {
  return lab.terminal === true ? ["control"] : ["control", "out", "err"];
}

/** This side of the guest's serial ports: the command's two streams, and what the guest's init reports. */
export class Ports {
  bootSeconds: number | undefined;
  exitCode: number | undefined;
  /** Told once the command's exit code is known. */
  onExit: () => void = () => undefined;
  readonly #servers: net.Server[] = [];
  readonly #sinks: Readonly<Record<string, (data: Buffer) => void>>;
  readonly #folder: string;
  #control = "";

  constructor(folder: string, lab: Spoken) {
    this.#folder = folder;
    this.#sinks = {
      control: (data) => this.#readControl(data),
      ...(lab.terminal === true
        ? {}
        : {
            out: lab.stdout ?? ((data: Buffer) => process.stdout.write(data)),
            err: lab.stderr ?? ((data: Buffer) => process.stderr.write(data)),
          }),
    };
  }

  async listen(): Promise<void> {
    for (const [name, sink] of Object.entries(this.#sinks)) {
      const server = net.createServer((socket) => {
        socket.on("data", sink);
        // QEMU goes away without a goodbye when it is killed.
        socket.on("error", () => undefined);
      });
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.on("error", reject);
        server.listen(path.join(this.#folder, name), resolve);
      });
    }
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }

  #readControl(data: Buffer): void {
    this.#control += data.toString("latin1");
    const up = /^up ([0-9.]+) /m.exec(this.#control);
    if (up?.[1] !== undefined) this.bootSeconds = Number(up[1]);
    const exit = /^exit ([0-9]+)\n/m.exec(this.#control);
    if (exit?.[1] === undefined || this.exitCode !== undefined) return;
    this.exitCode = Number(exit[1]);
    this.onExit();
  }
}
