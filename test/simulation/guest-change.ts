/** What happens to guests: started, ended, moved, their NICs and annotations, a person's pause; with libvirt's hooks and signals. */

import type { HookRequest } from "../../src/hook/request.ts";
import type { Happening } from "./event.ts";
import { type Guest, macOf, xmlOf } from "./guest.ts";
import type { Simulation } from "./simulation.ts";

/** The hook gives up after this long (hooks/qemu). */
const HOOK_LIMIT_MS = 2000;
/** A guest's last moment at the source. */
const LEAVING_MS = 20;

type GuestHappening = Extract<Happening, { readonly guest: number }>;

/** What somebody does to a domain; what doesn't apply to its state does nothing. */
export function changeGuest(simulation: Simulation, what: GuestHappening): void {
  const { libvirt } = simulation;
  const index = what.guest % libvirt.guests.length;
  const guest = libvirt.guests[index] as Guest;
  switch (what.kind) {
    case "start":
      void start(simulation, guest, index);
      return;
    case "stop":
      if (guest.state === "running" || guest.state === "paused")
        void end(simulation, guest, "stopped");
      return;
    case "leave":
      if (!libvirt.mover.isMoving(guest)) leave(simulation, guest);
      return;
    case "arrive":
      void arrive(simulation, guest, index, what.arrivesMs);
      return;
    case "plug": {
      const mac = macOf(index, what.vnic);
      if (!isActive(guest) || guest.vnics.includes(mac)) return;
      guest.vnics = [...guest.vnics, mac];
      libvirt.emitChange(guest, "DeviceAdded");
      return;
    }
    case "unplug": {
      const mac = macOf(index, what.vnic);
      if (!isActive(guest) || !guest.vnics.includes(mac)) return;
      guest.vnics = guest.vnics.filter((other) => other !== mac);
      libvirt.emitChange(guest, "DeviceRemoved");
      return;
    }
    case "annotate":
      guest.wish = what.wish;
      if (guest.state !== "off") libvirt.emitChange(guest, "MetadataChange");
      return;
    case "demand":
      guest.demandBitsPerSecond = what.mbit * 1e6;
      return;
    case "person-pauses":
      if (guest.state !== "running") return;
      guest.personTurns += 1;
      guest.state = "paused";
      guest.pausedBy = "person";
      guest.pausedAtMs = simulation.clock.now();
      libvirt.emit(guest, "suspended");
      return;
    case "person-resumes":
      if (guest.state !== "paused") return;
      guest.personTurns += 1;
      if (guest.pausedBy === "uplinkd") guest.takenOver = true;
      guest.state = "running";
      guest.pausedBy = null;
      libvirt.emit(guest, "resumed");
      return;
    default:
      return;
  }
}

function isActive(guest: Guest): boolean {
  return guest.state === "running" || guest.state === "paused";
}

async function start(simulation: Simulation, guest: Guest, index: number): Promise<void> {
  if (guest.state !== "off" || guest.ending) return;
  reset(guest, index);
  guest.state = "starting";
  await callHook(simulation, guest, "prepare", "begin");
  const answered = await callHook(simulation, guest, "start", "begin");
  guest.state = "running";
  simulation.libvirt.emit(guest, "started");
  if (answered) simulation.watcher.noteStarted(guest);
  await callHook(simulation, guest, "started", "begin");
}

async function arrive(
  simulation: Simulation,
  guest: Guest,
  index: number,
  arrivesMs: number,
): Promise<void> {
  if (guest.state !== "off" || guest.ending) return;
  reset(guest, index);
  guest.state = "incoming";
  await callHook(simulation, guest, "migrate", "begin");
  await callHook(simulation, guest, "start", "begin");
  simulation.clock.after(arrivesMs, () => {
    guest.state = "running";
    simulation.libvirt.emit(guest, "resumed by migration");
  });
}

/** The last moment of a migration, whoever asked for it. */
export function leave(simulation: Simulation, guest: Guest): void {
  if (guest.state !== "running") return;
  guest.state = "incoming";
  simulation.libvirt.emit(guest, "suspended by migration");
  simulation.clock.after(LEAVING_MS, () => void end(simulation, guest, "stopped by migration"));
}

async function end(
  simulation: Simulation,
  guest: Guest,
  signal: "stopped" | "stopped by migration",
): Promise<void> {
  const xml = xmlOf(guest);
  guest.state = "off";
  guest.ending = true;
  guest.pausedBy = null;
  guest.takenOver = false;
  if (signal === "stopped") simulation.libvirt.mover.stop(guest);
  simulation.libvirt.emit(guest, signal);
  await callHook(simulation, guest, "stopped", "end", xml);
  await callHook(simulation, guest, "release", "end", xml);
  guest.ending = false;
}

function reset(guest: Guest, index: number): void {
  guest.vnics = [macOf(index, 0)];
  guest.pausedBy = null;
  guest.takenOver = false;
}

/** libvirt's hook. @returns whether the daemon answered in time */
export function callHook(
  { life, clock }: Simulation,
  guest: Guest,
  operation: HookRequest["operation"],
  subOperation: string,
  xml = xmlOf(guest),
): Promise<boolean> {
  return new Promise((resolve) => {
    if (life?.daemon.ready !== true || life.stopping) {
      resolve(false);
      return;
    }
    clock.after(HOOK_LIMIT_MS, () => resolve(false));
    const request = { domain: guest.name, operation, subOperation, extra: "-", xml };
    life.daemon.hook(request).then(
      () => life.alive && resolve(true),
      () => resolve(false),
    );
  });
}
