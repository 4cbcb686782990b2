/** A host that systemd runs, with the network that an operator's has: what both of the package's stories start from. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "../../src/model/version.ts";
import { repository } from "./cache.ts";
import { ip, readJson, run, tc } from "./command.ts";
import { buildHost, type HostShape, readNetworkState, uplinkNames } from "./host.ts";
import { configureLibvirt } from "./libvirt.ts";
import { until } from "./wait.ts";

/** Stopped without its sockets, it is started by whoever asks it next. */
export const LIBVIRT_UNITS = [
  "libvirtd.service",
  ...["", "-ro", "-admin"].map((kind) => `libvirtd${kind}.socket`),
];
const SLOW_UNIT = "/etc/systemd/system/uplinkd.service.d";
/** The runtime's 150 MB need no syncing to memory, and no other package's trigger, such as man-db's, is any of ours. */
export const DPKG = ["--force-unsafe-io", "--no-triggers"];

/** Where `npm run package:lab` puts a version. */
export const packageFile = (version = VERSION) =>
  join(repository, `dist/lab/uplinkd_${version}_amd64.deb`);

export const untilSlow = (what: string, condition: () => boolean) =>
  until(what, condition, 180_000, 500);

/**
 * Waits for systemd, and lets a start take as long as it does here.
 * @param libvirt configured for a lab, or as its packages have it
 */
export async function prepareSystemd({
  libvirt = "for the lab",
}: {
  readonly libvirt?: "for the lab" | "as installed";
} = {}): Promise<void> {
  // A container's image may forbid packages to start what they bring.
  rmSync("/usr/sbin/policy-rc.d", { force: true });
  if (libvirt === "for the lab") configureLibvirt();
  // Without KVM, on a machine that others use, a start may take minutes; the unit's own limits are for hosts.
  mkdirSync(SLOW_UNIT, { recursive: true });
  writeFileSync(
    join(SLOW_UNIT, "slow.conf"),
    "[Service]\nTimeoutStartSec=8min\nTimeoutStopSec=3min\nWatchdogSec=3min\n",
  );
  await untilSlow(
    "systemd's boot",
    () => run("systemctl", "show", "-P", "ActiveState", "basic.target").trim() === "active",
  );
  run("systemctl", "start", "dbus");
  // What another story of the same boot has started takes the processors that this one needs.
  run("systemctl", "stop", ...LIBVIRT_UNITS);
}

/** Takes away what {@link prepareSystemd} added. */
export function forgetSlowUnit(): void {
  rmSync(SLOW_UNIT, { recursive: true });
}

/** Builds bond and bridge as after a boot, whatever was there. @returns the network's state once it has settled */
export async function buildSettledHost(shape: HostShape): Promise<string> {
  const links = readJson<{ ifname: string }>("ip", "link").map(({ ifname }) => ifname);
  ip(["br0", "bond0"].filter((name) => links.includes(name)).map((name) => `link del ${name}`));
  for (const uplink of uplinkNames()) {
    for (const { kind } of readJson<{ kind: string }>("tc", `qdisc show dev ${uplink}`)) {
      if (kind === "clsact") tc([`qdisc del dev ${uplink} clsact`]);
      if (kind === "htb") tc([`qdisc del dev ${uplink} root`]);
    }
  }
  ip(uplinkNames().map((uplink) => `link set ${uplink} promisc off`));
  await buildHost(shape);
  // Operational states and duplicate address detection take a moment, which is none of the package's doing.
  let state = "";
  await untilSlow("the network to settle", () => {
    state = readNetworkState();
    return !/ tentative|BROADCAST.* state UNKNOWN/.test(state);
  });
  return state;
}
