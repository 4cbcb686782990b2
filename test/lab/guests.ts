import { type Daemon, type DomainShape, startDomain, stopDomain } from "./daemon.ts";
import { addStandin, removeStandin, type Standin } from "./standin.ts";

/** A stand-in together with the domain that the daemon takes it for. */
export interface Guest extends Standin {
  readonly domain: DomainShape;
}

/** Starts a domain as libvirt would, then its stand-in: the class stands before the first frame. */
export function startGuest(
  number: number,
  name: string,
  annotation: string,
  more: Partial<DomainShape> = {},
): Guest {
  const mac = `52:54:00:00:00:${number.toString(16).padStart(2, "0")}`;
  const domain = { name, macs: [mac], annotation, ...more };
  startDomain(domain);
  const standin = addStandin({ number, mac });
  return { ...standin, domain };
}

/** Its end, for tests that share a host. */
export function endGuest(guest: Guest): void {
  removeStandin(guest);
  stopDomain(guest.domain);
}

/** Where a guest is and which class it has, as the daemon says. */
export async function whereIs(
  daemon: Daemon,
  guest: Guest,
): Promise<{ readonly home: string; readonly via: string; readonly classId: string }> {
  const { domains } = await daemon.status();
  const vnic = domains.find(({ name }) => name === guest.domain.name)?.vnics[0];
  if (vnic?.home == null || vnic.via === null || vnic.classId === null) {
    throw new Error(`${guest.domain.name} is not placed: ${JSON.stringify(vnic)}`);
  }
  return { home: vnic.home, via: vnic.via, classId: vnic.classId };
}

/** A daemon's configuration for the lab's bond: speeds that the CPU can carry, short times. */
export function labConfig(
  options: {
    readonly speed?: string;
    readonly host?: string;
    readonly team?: string;
    readonly rest?: string;
  } = {},
): string {
  const speed = options.speed ?? "40mbit";
  return `teams:
  - bond: bond0
    uplinks: [{name: nic0, speed: ${speed}}, {name: nic1, speed: ${speed}}]
    headroom: 0%
    floor: 100kbit
    holdDown: 2s
    holdDownMax: 2s
    loadWindow: 2s
    host: {${options.host ?? "reservation: 1mbit"}}
${options.team ?? ""}
resync: 5s
${options.rest ?? ""}
`;
}
