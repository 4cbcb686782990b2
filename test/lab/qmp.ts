import { readFileSync, writeFileSync } from "node:fs";
import { until } from "./wait.ts";

// QEMU's monitor as the guest's init laid it out: requests go in, answers and events come out.
const requests = "/run/lab/qmp.in";
const answers = "/run/lab/qmp.out";

/** virtio reports a link change within milliseconds; more than this is a NIC that never will (e1000e). */
const carrierLimitMs = 5_000;

let lastId = 0;

/** Pulls a cable at both its ends and waits until the uplink has lost its carrier. */
export async function pull(cable: number): Promise<void> {
  await setLink(cable, false);
  await until(`nic${cable} without carrier`, () => !hasCarrier(cable), carrierLimitMs);
}

/** Plugs a cable in again at both its ends and waits until the uplink has carrier. */
export async function plug(cable: number): Promise<void> {
  await setLink(cable, true);
  await until(`nic${cable} with carrier`, () => hasCarrier(cable), carrierLimitMs);
}

/** Pulls or plugs without waiting for anyone to see it: for flaps, and for NICs whose link lies. */
export async function setLink(cable: number, up: boolean): Promise<void> {
  // The switch's end goes down last and comes up first, as with a real cable seen from the host.
  const ends = up ? [`p${cable}`, `nic${cable}`] : [`nic${cable}`, `p${cable}`];
  const ids = ends.map((name) => send({ execute: "set_link", arguments: { name, up } }));
  await Promise.all(ids.map(answered));
}

/** Has the switch's end hear nothing more, while the uplink keeps its carrier: what is sent costs nobody anything. */
export async function deafen(cable: number): Promise<void> {
  await answered(send({ execute: "set_link", arguments: { name: `p${cable}`, up: false } }));
}

/** Whether the uplink sees a carrier; false also while it is switched off. */
export function hasCarrier(cable: number): boolean {
  try {
    return readFileSync(`/sys/class/net/nic${cable}/carrier`, "latin1").startsWith("1");
  } catch {
    return false; // EINVAL: the link is administratively down
  }
}

function send(command: object): string {
  lastId += 1;
  const id = `${process.pid}-${lastId}`;
  writeFileSync(requests, `${JSON.stringify({ ...command, id })}\n`);
  return id;
}

async function answered(id: string): Promise<void> {
  let answer: string | undefined;
  await until(`QMP's answer to ${id}`, () => {
    // A line is whole once its end, CR LF, is there.
    const lines = readFileSync(answers, "utf8").split("\r\n").slice(0, -1);
    answer = lines.findLast((line) => line.includes(`"id": "${id}"`));
    return answer !== undefined;
  });
  if (answer?.includes('"error"')) throw new Error(`QMP: ${answer}`);
}
