/**
 * Cables within the kernel, in the place of QEMU's: for a lab whose clock counts instructions. QEMU's are a thread that this
 * clock doesn't wait for, and a frame that it brings late looks like a slow network.
 */
import { ip } from "./command.ts";
import { attribute, uplinkNames } from "./host.ts";
import { switchNamespace } from "./switch.ts";
import { until } from "./wait.ts";

/** Puts a veth pair in each cable's place, under the uplink's own name. To be done before a bond takes the uplinks. */
export function wireInside(): void {
  for (const [cable, nic] of uplinkNames().entries()) {
    ip([
      `link set ${nic} down`,
      `link set ${nic} name ${spare(cable)}`,
      `link add ${nic} type veth peer name ${wire(cable)} netns ${switchNamespace}`,
      `link set ${nic} up`,
    ]);
    ip([`link set ${wire(cable)} master sbr up`], switchNamespace);
  }
}

/** Puts QEMU's cables back. */
export function wireOutside(): void {
  for (const [cable, nic] of uplinkNames().entries())
    ip([`link del ${nic}`, `link set ${spare(cable)} name ${nic}`, `link set ${nic} up`]);
}

/** Pulls a cable within the kernel, and waits until the uplink has lost its carrier. */
export async function pullInside(cable: number): Promise<void> {
  ip([`link set ${wire(cable)} down`], switchNamespace);
  const nic = uplinkNames()[cable] ?? "";
  await until(`${nic} without carrier`, () => attribute(nic, "carrier") === "0");
}

function wire(cable: number): string {
  return `w${cable}`;
}

function spare(cable: number): string {
  return `spare${cable}`;
}
