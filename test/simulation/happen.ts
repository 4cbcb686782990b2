/** What each event does to the models. What doesn't apply as things are (a start of what runs) does nothing. */

import { UplinkError } from "../../src/model/errors.ts";
import type { Happening } from "./event.ts";
import type { Guest } from "./guest.ts";
import { callHook, changeGuest } from "./guest-change.ts";
import type { Daemon } from "./host.ts";
import { type Port, WHOLE } from "./links.ts";
import type { Cut } from "./network.ts";
import { TARGET } from "./setting.ts";
import type { Simulation } from "./simulation.ts";
import { contest, tamper } from "./tampering.ts";

const CUTS: Readonly<Record<"out" | "in" | "both", Cut>> = {
  out: { out: true, in: false },
  in: { out: false, in: true },
  both: { out: true, in: true },
};

export function happen(simulation: Simulation, what: Happening): void {
  const { kernel, libvirt, clock, batchFaults } = simulation;
  switch (what.kind) {
    case "nothing":
      return;
    case "cable-out":
    case "cable-in":
    case "flap":
    case "port-down":
    case "port-up":
    case "port-released":
    case "port-enslaved":
    case "device-gone":
    case "device-back":
    case "speed":
    case "path-cut":
    case "path-mended": {
      const { ports } = simulation.links;
      changePort(simulation, ports[what.port % ports.length] as Port, what);
      return;
    }
    case "outside":
      if (what.answers) simulation.network.targets.add(TARGET);
      else simulation.network.targets.delete(TARGET);
      simulation.network.flooding = what.floods;
      return;
    case "start":
    case "stop":
    case "leave":
    case "arrive":
    case "plug":
    case "unplug":
    case "annotate":
    case "demand":
    case "person-pauses":
    case "person-resumes":
      changeGuest(simulation, what);
      return;
    case "hold":
    case "unhold": {
      const guest = libvirt.guests[what.guest % libvirt.guests.length] as Guest;
      if (what.kind === "unhold") guest.heldSinceMs = null;
      ask(simulation, async (daemon) => {
        const answer = await daemon.operator[what.kind](guest.name);
        if (what.kind === "hold" && answer !== null) guest.heldSinceMs = clock.now();
      });
      return;
    }
    case "drain":
    case "undrain": {
      const { ports } = simulation.links;
      const { name } = ports[what.port % ports.length] as Port;
      ask(simulation, async ({ operator }) => {
        if (what.kind === "drain") await operator.drain(name, what.force);
        else await operator.undrain(name);
      });
      return;
    }
    case "release":
      simulation.watcher.noteRelease();
      ask(simulation, async (daemon) => {
        const isWhole = await daemon.release();
        // Somebody may have enabled it again meanwhile.
        if (isWhole && daemon.loop.mode === "released") simulation.watcher.noteReleased();
      });
      return;
    case "enable":
      simulation.watcher.noteEnable();
      ask(simulation, (daemon) => daemon.enable());
      return;
    case "libvirt":
      libvirt.health = what.health;
      if (what.health === "unreachable") libvirt.disconnect();
      clock.after(what.lastsMs, () => {
        if (libvirt.health === what.health) libvirt.health = "well";
      });
      return;
    case "libvirtd-restarts":
      libvirt.silent = true;
      libvirt.mover.abortAll();
      for (const guest of libvirt.guests) {
        if (guest.state === "running" || guest.state === "paused")
          void callHook(simulation, guest, "reconnect", "begin");
      }
      return;
    case "signals-lost":
      libvirt.losing += what.count;
      return;
    case "disorder":
      libvirt.disorder = 0.3;
      clock.after(what.lastsMs, () => {
        libvirt.disorder = 0;
      });
      return;
    case "calls-refused":
      libvirt.refusing += what.count;
      return;
    case "batch-refused":
      batchFaults.push({ step: what.step, errno: what.errno });
      return;
    case "batch-breaks":
      batchFaults.push({ step: what.step, errno: null });
      return;
    case "kernel-events-lost":
      simulation.kernelEventsLost += what.count;
      return;
    case "tampering":
      tamper(simulation, what);
      return;
    case "contest":
      contest(simulation, what);
      return;
    case "foreign-root": {
      const { ports } = simulation.links;
      const { name, present } = ports[what.port % ports.length] as Port;
      if (!present || kernel.foreignRoots.has(name)) return;
      const root = kernel.objects.get(`htb ${name}`);
      if (root !== undefined) kernel.remove(root);
      kernel.foreignRoots.set(name, "fq 8001:");
      simulation.watcher.noteFault();
      simulation.watcher.noteReplaced(name);
      simulation.tellTrafficControl();
      return;
    }
    case "foreign-root-gone": {
      const { ports } = simulation.links;
      const { name } = ports[what.port % ports.length] as Port;
      if (!kernel.foreignRoots.delete(name)) return;
      simulation.watcher.noteFault();
      simulation.tellTrafficControl();
      return;
    }
    case "disk-full":
      simulation.diskFull = true;
      clock.after(what.lastsMs, () => {
        simulation.diskFull = false;
      });
      return;
    case "crash":
      simulation.crash(what.downMs);
      return;
    case "crash-at":
      simulation.crashPoint = { left: what.point, downMs: what.downMs };
      return;
    case "restart":
      void simulation.restart(what.downMs);
      return;
    case "upgrade":
      simulation.upgrading = true;
      void simulation.restart(what.downMs);
      return;
    case "journal-damaged":
      simulation.damageJournal(what.downMs);
      return;
    case "clock-jump":
      simulation.clockOffsetMs += what.byMs;
  }
}

/** uplinkctl: an answer may be an error, if it is one of ours. */
function ask({ life }: Simulation, question: (daemon: Daemon) => Promise<void>): void {
  if (life?.daemon.ready !== true || life.stopping) return;
  life.asked += 1;
  question(life.daemon)
    .catch((error: unknown) => {
      if (!(error instanceof UplinkError)) life.daemon.report(error);
    })
    .finally(() => {
      life.asked -= 1;
    });
}

type PortHappening = Extract<Happening, { readonly port: number }>;

function changePort(simulation: Simulation, port: Port, what: PortHappening): void {
  const { links, kernel, clock } = simulation;
  const hadCarrier = links.hasCarrier(port);
  const couldSend = hadCarrier && port.inBond;
  switch (what.kind) {
    case "path-cut":
    case "path-mended":
      // No link tells of it.
      port.cut = what.kind === "path-mended" ? WHOLE : CUTS[what.way];
      simulation.notePaths();
      return;
    case "cable-out":
      port.cable = false;
      break;
    case "cable-in":
      port.cable = true;
      break;
    case "flap":
      if (!port.cable) return;
      port.cable = false;
      clock.after(what.downMs, () => {
        port.cable = true;
        simulation.noteLinks([]);
      });
      break;
    case "port-down":
      port.adminUp = false;
      break;
    case "port-up":
      port.adminUp = true;
      break;
    case "port-released":
      if (port.inBond) links.release(port);
      break;
    case "port-enslaved":
      if (!port.present || port.inBond) return;
      port.inBond = true;
      port.adminUp = true;
      break;
    case "device-gone":
      if (!port.present) return;
      links.release(port);
      port.present = false;
      kernel.forgetDevice(port.name, port.ifindex);
      break;
    case "device-back":
      if (port.present) return;
      links.renew(port);
      break;
    case "speed":
      port.speedBitsPerSecond = what.mbit * 1e6;
      break;
    default:
      return;
  }
  if (hadCarrier && !links.hasCarrier(port)) port.carrierDowns += 1;
  const lost = couldSend && !(links.hasCarrier(port) && port.inBond);
  simulation.noteLinks(lost ? [port.name] : []);
}
