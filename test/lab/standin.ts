import { inNamespace, ip, run } from "./command.ts";
import type { End } from "./meter.ts";

export interface StandinShape {
  /** Tells stand-ins apart, 1 to 99: namespace vmN, tap tapN, addresses 10.9.0.N and fd09::N. */
  readonly number: number;
  /** 52:54:00:00:00:NN by default. */
  readonly mac?: string;
  readonly bridge?: string;
  readonly vlan?: number;
  /** Transmit queues; with several, frames carry a queue number as a multiqueue tap's do. */
  readonly queues?: number;
}

/** A network namespace on the bridge that stands for a virtual machine: quick to make, and fast. */
export interface Standin extends End {
  /** The bridge's side of it. */
  readonly tap: string;
  readonly mac: string;
}

export function addStandin(shape: StandinShape): Standin {
  const { number, queues = 1 } = shape;
  const standin: Standin = {
    namespace: `vm${number}`,
    tap: `tap${number}`,
    mac: shape.mac ?? standinMac(number),
    ipv4: `10.9.0.${number}`,
    ipv6: `fd09::${number}`,
  };
  const { namespace, tap, mac } = standin;
  const queueWords = `numtxqueues ${queues} numrxqueues ${queues}`;
  ip([
    `netns add ${namespace}`,
    `link add ${tap} ${queueWords} type veth peer name eth0 ${queueWords} netns ${namespace}`,
    `link set ${tap} master ${shape.bridge ?? "br0"} up`,
  ]);
  ip(
    [
      "link set lo up",
      // TCP would else hand over 64 KB at a time, which is 26 ms of a line of 20 Mbit/s.
      `link set eth0 address ${mac} gso_max_segs 1`,
      "link set eth0 up",
      `addr add ${standin.ipv4}/24 dev eth0`,
      `addr add ${standin.ipv6}/64 dev eth0 nodad`,
    ],
    namespace,
  );
  return standin;
}

/** The tap first: the kernel clears a namespace some time later, and the next stand-in may have the same number. */
export function removeStandin({ namespace, tap }: Standin): void {
  ip([`link del ${tap}`, `netns del ${namespace}`]);
}

export function standinMac(number: number): string {
  return `52:54:00:00:00:${number.toString(16).padStart(2, "0")}`;
}

export interface PingShape {
  readonly count?: number;
  readonly intervalMs?: number;
}

/** Pings from one namespace ("" is the host) and returns how many answers came back. */
export function ping(
  from: string,
  address: string,
  { count = 5, intervalMs = 50 }: PingShape = {},
): number {
  const words = ["-q", "-c", `${count}`, "-i", `${intervalMs / 1000}`, "-W", "1", address];
  const [first = "ping", ...rest] = [...inNamespace(from), "ping", ...words];
  // ping's exit code is 1 when nothing came back, which is an answer here.
  const output = run("sh", "-c", '"$@" || :', "sh", first, ...rest);
  const received = /(\d+) received/.exec(output)?.[1];
  if (received === undefined) throw new Error(`ping ${address} from "${from}": ${output}`);
  return Number(received);
}
