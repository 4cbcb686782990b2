/**
 * What chaos does to the host. Each makes its fault and says how the outside ends it: a cable is plugged in again,
 * systemd starts what has ended, room is made on a disk. What uplinkd has to mend has no such end.
 */
import { spawn } from "node:child_process";
import { readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../simulation/random.ts";
import { CommandError, ip, run, tc } from "../command.ts";
import { STATE_DIR } from "../daemon.ts";
import { readClassCounts } from "../host.ts";
import { isRunning, startLibvirt, stopDaemon as stopService, virshAside } from "../libvirt.ts";
import { setLink } from "../qmp.ts";
import { until } from "../wait.ts";
import type { ChaosHost } from "./host.ts";

/** How a fault is ended by whoever ends it; null: by uplinkd alone. */
export type End = (() => Promise<void> | void) | null;

interface Place {
  readonly host: ChaosHost;
  readonly random: Random;
  /** The uplink that the faults of a step befall: the other one is left alone. */
  readonly cable: number;
}

export interface Fault {
  /** Drawn so often, in relation to the others. */
  readonly weight: number;
  /** For so long frames may be lost in a row, milliseconds, while the fault begins, lasts, ends and is mended. */
  readonly silenceMs: number;
  /** As long as it lasts uplinkd mends nothing. */
  readonly isAbsence?: true;
  readonly make: (place: Place) => Promise<End> | End;
}

/** Nothing that carries frames is touched: what is lost is the lab's own, of late processes. */
const NONE_MS = 60;
/** bonding looks every 100 ms; the switch and the announcements take the rest, on processors that are emulated. */
const FAILOVER_MS = 1500;
/** Of memory, at most. */
const WANT_MS = 60_000;
/** Until it is seen, settled (200 ms), read and mended: uplinkd has to be there for it. */
export const MENDED_MS = 3000;

const nic = (cable: number) => `nic${cable}`;
const uplinkFilters = (hook: "ingress" | "parent 7570:", pref: number): Fault["make"] =>
  foreign(({ cable }) => tc([`filter del dev ${nic(cable)} ${hook} pref ${pref}`]));

export const FAULTS = {
  "cable pulled": {
    weight: 4,
    silenceMs: FAILOVER_MS,
    make: async ({ cable }) => {
      await setLink(cable, false);
      return () => setLink(cable, true);
    },
  },
  "cable flaps": {
    weight: 2,
    silenceMs: FAILOVER_MS,
    make: async ({ cable, random }) => {
      for (let count = random.between(3, 6); count > 0; count -= 1) {
        await setLink(cable, false);
        await sleep(random.between(10, 250));
        await setLink(cable, true);
        await sleep(random.between(10, 250));
      }
      return null;
    },
  },
  "port switched off": {
    weight: 1,
    silenceMs: FAILOVER_MS,
    make: ({ cable }) => {
      ip([`link set ${nic(cable)} down`]);
      return () => ip([`link set ${nic(cable)} up`]);
    },
  },
  "port taken out of the bond": {
    weight: 2,
    silenceMs: FAILOVER_MS,
    make: ({ cable }) => {
      ip([`link set ${nic(cable)} nomaster`]);
      // A driver bound again meanwhile has put it back; taken out once more, it goes in as any other.
      return () =>
        ip(["nomaster", "down", "master bond0"].map((to) => `link set ${nic(cable)} ${to}`));
    },
  },
  "driver unbound": {
    weight: 1,
    silenceMs: FAILOVER_MS,
    make: ({ cable }) => {
      const device = basename(readlinkSync(`/sys/class/net/${nic(cable)}/device`));
      writeFileSync("/sys/bus/virtio/drivers/virtio_net/unbind", device);
      return () => {
        writeFileSync("/sys/bus/virtio/drivers/virtio_net/bind", device);
        const [name = ""] = readdirSync(`/sys/bus/virtio/devices/${device}/net`);
        ip([`link set ${name} down`, `link set ${name} name ${nic(cable)}`]);
        ip([`link set ${nic(cable)} master bond0`]);
      };
    },
  },
  "uplinkd killed": {
    weight: 3,
    silenceMs: NONE_MS,
    isAbsence: true,
    make: async ({ host }) => {
      await host.kill();
      return () => host.restart();
    },
  },
  "uplinkd stands still": {
    weight: 1,
    silenceMs: NONE_MS,
    isAbsence: true,
    make: ({ host }) => {
      host.daemon.process.kill("SIGSTOP");
      return () => {
        host.daemon.process.kill("SIGCONT");
      };
    },
  },
  "libvirtd killed": { weight: 1, silenceMs: NONE_MS, make: () => killService("libvirtd") },
  "libvirt-dbus killed": {
    weight: 1,
    silenceMs: NONE_MS,
    make: () => killService("libvirt-dbus"),
  },
  "the bus restarted": {
    weight: 1,
    silenceMs: NONE_MS,
    make: async () => {
      await stopService("libvirt-dbus", "SIGKILL");
      await stopService("dbus", "SIGKILL");
      // It ends as soon as it notices that the bus has gone; systemd starts all of them again.
      await until("libvirtd to go with the bus", () => !isRunning("libvirtd"));
      return startLibvirt;
    },
  },
  "class deleted": {
    weight: 1,
    silenceMs: NONE_MS,
    make: foreign(({ cable, random }) =>
      tc([`class del dev ${nic(cable)} classid ${random.pick(vnicClasses(cable))}`]),
    ),
  },
  "class made slower": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable, random }) =>
      tc([
        `class change dev ${nic(cable)} parent 7570:1 classid ${random.pick(vnicClasses(cable))} htb rate 500kbit ceil 500kbit`,
      ]),
    ),
  },
  "class added": {
    weight: 1,
    silenceMs: NONE_MS,
    make: foreign(({ cable, random }) =>
      tc([
        `class add dev ${nic(cable)} parent 7570:1 classid 7570:${random.between(0x100, 0x999).toString(16)} htb rate 1mbit`,
      ]),
    ),
  },
  "root qdisc deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable }) => tc([`qdisc del dev ${nic(cable)} root`])),
  },
  "foreign root qdisc": {
    weight: 1,
    silenceMs: FAILOVER_MS,
    make: ({ cable }) => {
      tc([`qdisc replace dev ${nic(cable)} root handle 8001: fq`]);
      return () => tc([`qdisc del dev ${nic(cable)} root`]);
    },
  },
  "port's clsact deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable }) => tc([`qdisc del dev ${nic(cable)} clsact`])),
  },
  "bond's clsact deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(() => tc(["qdisc del dev bond0 clsact"])),
  },
  "catch-all deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(() => tc(["filter del dev bond0 egress pref 7570"])),
  },
  "vNIC filters deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(() => tc(["filter del dev bond0 egress pref 7568"])),
  },
  "reflection filters deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: uplinkFilters("ingress", 7575),
  },
  "redirect filters deleted": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: uplinkFilters("ingress", 7576),
  },
  "control filters deleted": {
    weight: 1,
    silenceMs: NONE_MS,
    make: uplinkFilters("parent 7570:", 7577),
  },
  "promiscuity off": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable }) => ip([`link set ${nic(cable)} promisc off`])),
  },
  "queue id gone": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable }) => ip([`link set ${nic(cable)} type bond_slave queue_id 0`])),
  },
  "active port moved": {
    weight: 1,
    silenceMs: MENDED_MS,
    make: foreign(({ cable }) => ip([`link set bond0 type bond active_slave ${nic(cable)}`])),
  },
  "channels and offloads changed": {
    weight: 1,
    silenceMs: FAILOVER_MS,
    // No NIC of the lab that can be pulled has several channels to choose from: a tap has.
    make: foreign(({ cable, host, random }) => {
      const [standin] = host.standins;
      run("ethtool", "-L", standin?.tap ?? "", "tx", String(random.between(1, 4)));
      run("ethtool", "-K", nic(cable), "tx", "off");
      run("ethtool", "-K", nic(cable), "tx", "on");
    }),
  },
  "kernel events overrun": {
    weight: 1,
    silenceMs: NONE_MS,
    isAbsence: true,
    make: async ({ host }) => {
      host.daemon.process.kill("SIGSTOP");
      ip(["link add nobody type dummy", "link set nobody up"]);
      ip(Array.from({ length: 8000 }, (_, at) => `link set nobody alias a${at}`));
      ip(["link del nobody"]);
      return () => {
        host.daemon.process.kill("SIGCONT");
      };
    },
  },
  "disk full": {
    weight: 2,
    silenceMs: NONE_MS,
    make: () => {
      const filler = join(STATE_DIR, "filler");
      run("sh", "-c", `head -c 1M /dev/zero >${filler} 2>/dev/null || :`);
      return () => rmSync(filler, { force: true });
    },
  },
  "memory short": {
    weight: 1,
    // The kernel finds no page for a frame that arrives, nor have the lab's meters one, for as long as it lasts.
    silenceMs: WANT_MS + FAILOVER_MS,
    make: async () => {
      // tail keeps a line that doesn't end; choom makes it the kernel's first choice.
      const hog = spawn("choom", ["-n", "1000", "--", "tail", "/dev/zero"], { stdio: "ignore" });
      const ended = () => hog.exitCode !== null || hog.signalCode !== null;
      // An emulated processor clears some 50 MB a second at best: where that isn't enough in this time, it was a minute's want.
      await until("the hog to be killed", ended, WANT_MS, 100).catch(() => hog.kill("SIGKILL"));
      return null;
    },
  },
  "domain stopped and started": {
    weight: 1,
    silenceMs: NONE_MS,
    make: async () => {
      try {
        await virshAside("destroy", "bulk");
      } catch (error) {
        // libvirtd may be down.
        if (!(error instanceof CommandError)) throw error;
      }
      return async () => {
        await virshAside("start", "bulk").catch((error: unknown) => {
          if (!String(error).includes("already")) throw error;
        });
      };
    },
  },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof FAULTS;

/** A command of somebody else, at the state as it is: what isn't there can't be changed, and that is all right. */
function foreign(command: (place: Place) => void): Fault["make"] {
  return (place) => {
    try {
      command(place);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
    }
    return null;
  };
}

function vnicClasses(cable: number): readonly string[] {
  const handles = [...readClassCounts(nic(cable)).keys()];
  return handles.filter((handle) => /^7570:(?!1$|fff)/.test(handle));
}

async function killService(name: "libvirtd" | "libvirt-dbus"): Promise<End> {
  await stopService(name, "SIGKILL");
  // The bus may be down as well: all that is down is started, in its order.
  return startLibvirt;
}
