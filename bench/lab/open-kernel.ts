/** The daemon's kernel side for a benchmark: opened as the daemon does, and closed again. */
import { LinuxKernel } from "../../src/daemon/linux-kernel.ts";

/** Called with the port and the microseconds from its loss to the last byte sent. */
export type OnReacted = (port: string, microseconds: number, refused: number) => void;

/** Opens rtnetlink with its monitor, uses it, and closes it. */
export async function withKernel<T>(
  use: (kernel: LinuxKernel) => Promise<T>,
  onReacted: OnReacted = () => undefined,
): Promise<T> {
  const ignore = () => undefined;
  const kernel = await LinuxKernel.open({
    onLink: ignore,
    onTrafficControl: ignore,
    onReacted,
    onOverrun: ignore,
    onFailed: (message) => {
      throw new Error(message);
    },
  });
  try {
    // Names become interface indexes by what was last read.
    kernel.readLinks();
    return await use(kernel);
  } finally {
    await kernel.close();
  }
}

/** @throws what the kernel refused first */
export function refuseNone(refused: readonly Error[]): void {
  if (refused[0] !== undefined) throw refused[0];
}
