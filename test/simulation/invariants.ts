/** What must hold, whatever happens. Each is one function that names what doesn't, or nothing. */
import { isDeepStrictEqual } from "node:util";
import { diffKernel } from "../../src/diff/diff.ts";
import { kernelKey } from "../../src/model/kernel.ts";
import {
  DEFAULT_MINOR,
  FIRST_VNIC_MINOR,
  HOST_CLASS_MINORS,
  LAST_VNIC_MINOR,
} from "../../src/model/layout.ts";
import type { Guest } from "./guest.ts";
import { BOND, type Port } from "./links.ts";
import { COOL_DOWN_MS, MAX_PAUSE_MS, TARGET } from "./setting.ts";
import { type Simulation, settle } from "./simulation.ts";
import { wayOf } from "./traffic.ts";

/** An invariant's name and what broke it. */
export interface Violation {
  readonly invariant: string;
  readonly what: string;
}

type Always = (simulation: Simulation) => string | null;

/** A vNIC may go unshaped for so long while the daemon runs and libvirt answers: a full look, and then some. */
export const UNSHAPED_LIMIT_MS = 65_000;
/** A pause may outlast its bound by so much: a refusal's backoff, and a slow answer. */
const PAUSE_SLACK_MS = 40_000;

/** Looked at after every event, and every second between. */
export const ALWAYS: Readonly<Record<string, Always>> = {
  /** Classes that carry traffic never sum above the capacity, also after the loss of any one uplink. */
  capacityHeld(simulation) {
    const { kernel, guests, links, watcher } = simulation;
    if (!watcher.isSettled()) return null;
    const carried = new Map<string, Map<number, number>>();
    for (const guest of guests) {
      if (guest.state !== "running") continue;
      for (const mac of guest.vnics) {
        const way = wayOf(kernel, mac);
        if (way.class === null || way.discarded || way.port === null) continue;
        const classes = carried.get(way.port) ?? new Map<number, number>();
        classes.set(way.class.minor, way.class.rateBitsPerSecond);
        carried.set(way.port, classes);
      }
    }
    for (const [port, classes] of carried) {
      const root = kernel.objects.get(`class ${port} 7570:1`);
      const host = kernel.objects.get(`class ${port} 7570:${DEFAULT_MINOR.toString(16)}`);
      if (root?.kind !== "class" || host?.kind !== "class") continue;
      for (const minor of [DEFAULT_MINOR, ...Object.values(HOST_CLASS_MINORS)]) {
        const found = kernel.objects.get(`class ${port} 7570:${minor.toString(16)}`);
        if (found?.kind === "class") classes.set(minor, found.rateBitsPerSecond);
      }
      const sum = [...classes.values()].reduce((total, rate) => total + rate, 0);
      const stated = simulation.loaded.config.teams[0]?.uplinks.find(({ name }) => name === port);
      const speed = stated?.speedBitsPerSecond ?? links.find(port)?.speedBitsPerSecond ?? 0;
      if (sum > root.rateBitsPerSecond)
        return `${port} carries classes of ${sum} in ${root.rateBitsPerSecond} bit/s`;
      if (watcher.speedsKnown && root.rateBitsPerSecond > speed)
        return `${port} has ${root.rateBitsPerSecond} of ${speed} bit/s`;
    }
    return null;
  },

  /** Nothing is unshaped for longer than the bound. */
  shapedInTime({ watcher }) {
    return watcher.overdueUnshaped();
  },

  /** A guest whose start the hook answered is in its class before its CPUs run. */
  shapedFromTheFirstFrame({ watcher }) {
    return watcher.unshapedStart;
  },

  /** A domain that we paused is in the journal, or it was said that it is left. */
  pausesKnown({ guests, watcher }) {
    for (const guest of guests) {
      if (guest.pausedBy !== "uplinkd" || watcher.isJournaled(guest)) continue;
      if (!watcher.wasReported(guest)) return `${guest.name}, paused by uplinkd, is forgotten`;
    }
    return null;
  },

  /** What is moved by us is in the journal. */
  movesKnown({ guests, watcher, libvirt }) {
    const known = watcher.journaledMoves();
    const isHere = ({ state }: Guest) => state !== "off";
    const lost = guests.find(
      (guest) => isHere(guest) && libvirt.mover.isMovedByUs(guest) && !known.has(guest.uuid),
    );
    return lost === undefined ? null : `${lost.name} is being moved, and it is forgotten`;
  },

  /** A domain that we paused runs again when its longest pause has passed. */
  pausesEnd({ watcher }) {
    return watcher.overduePause();
  },

  /** Load moves no vNIC that has moved lately, for whatever reason. */
  loadIsPatient({ life }) {
    for (const [mac, moves] of life?.daemon.loop.last?.moves ?? []) {
      for (const [place, { atMs, story }] of moves.entries()) {
        const before = moves[place - 1]?.atMs ?? Number.NEGATIVE_INFINITY;
        if (story !== undefined && atMs - before < COOL_DOWN_MS)
          return `${mac} moved ${atMs - before} ms after its last move: ${story}`;
      }
    }
    return null;
  },

  /** A release leaves nothing of ours. */
  releaseIsWhole({ watcher }) {
    return watcher.leftByRelease;
  },

  /** What an operator released stays so until somebody enables, whatever becomes of the journal. */
  releaseStays({ watcher }) {
    return watcher.enforcedUnasked();
  },

  /** What a person did to a domain is never undone. */
  personsRespected({ watcher }) {
    return watcher.disrespect;
  },

  /** No path is taken for dead while no other is any better: when all look dead, nothing is moved. */
  nobodyAccusedAlone({ watcher }) {
    return watcher.accusedAlone;
  },

  /** An event costs a bounded number of runs, and of steps. */
  workBounded({ watcher }) {
    return watcher.excessiveWork();
  },

  /** Nothing is thrown that is no error of ours. */
  noBugs({ watcher }) {
    return watcher.bug;
  },
};

type AtRest = (simulation: Simulation) => string | null | Promise<string | null>;

/** Looked at when all faults have ended and time has passed. */
export const AT_REST: Readonly<Record<string, AtRest>> = {
  /** The kernel equals the plan, and a second run has nothing to do. */
  async kernelIsAsPlanned(simulation) {
    const { life, clock, kernel } = simulation;
    if (life === null) return "the daemon is down";
    const { loop } = life.daemon;
    const running = loop.run();
    await clock.advance(20, settle);
    const run = await running;
    if (run.steps.length > 0) {
      const steps = run.steps.slice(0, 5).map(({ op, object }) => `${op} ${kernelKey(object)}`);
      return `a second run has ${run.steps.length} steps: ${steps.join(", ")}`;
    }
    const [drift] = loop.drift;
    if (drift !== undefined) return `drift: ${drift.op} ${drift.object}: ${drift.message}`;
    const ports = simulation.links.ports.map((port) => port.name);
    const { objects } = kernel.readKernel([{ bond: BOND, ports }]);
    // A sample that was due meanwhile has made a run of its own, with a plan of its own.
    const [step] = diffKernel(objects, (loop.last ?? run).plan.kernel);
    return step === undefined ? null : `not as planned: ${step.op} ${kernelKey(step.object)}`;
  },

  /** What lies ready for the loss of each uplink is what the plan says of it. */
  lossesReady({ life }) {
    const { mode, last } = life?.daemon.loop ?? {};
    if (mode !== "enforcing") return null;
    for (const { uplink, plan } of last?.losses ?? []) {
      const wanted = diffKernel(last?.plan.kernel ?? new Map(), plan.kernel);
      const ready = life?.ready(uplink) ?? [];
      const at = wanted.findIndex((step, index) => !isDeepStrictEqual(step, ready[index]));
      if (at < 0 && ready.length === wanted.length) continue;
      const step = wanted[at];
      const lacking = step === undefined ? "too much" : `not ${step.op} ${kernelKey(step.object)}`;
      return `of ${wanted.length} steps for the loss of ${uplink} ${ready.length} lie ready: ${lacking}`;
    }
    return null;
  },

  /** No class, filter or action is left of a domain that is gone. */
  nothingLeftBehind({ kernel, guests }) {
    const macs = new Set(
      guests.flatMap((guest) => (guest.state === "off" ? [] : [...guest.vnics])),
    );
    const classes = new Map<string, number>();
    for (const object of kernel.objects.values()) {
      if ("mac" in object && object.kind !== "host-source" && !macs.has(object.mac))
        return `${kernelKey(object)} is left behind`;
      if (object.kind !== "class") continue;
      if (object.minor < FIRST_VNIC_MINOR || object.minor > LAST_VNIC_MINOR) continue;
      const count = (classes.get(object.device) ?? 0) + 1;
      classes.set(object.device, count);
      if (count > macs.size) return `${object.device} has ${count} classes for ${macs.size} vNICs`;
    }
    return null;
  },

  /** A team that misses an uplink which it had isn't called whole. */
  lossesKnown({ life, watcher }) {
    const port = watcher.lostPort();
    const [team] = life?.daemon.loop.last?.plan.teams ?? [];
    return port !== null && team?.condition === "ok" ? `${port} is lost, and the team is ok` : null;
  },

  /** A dead path behind a link that is up is treated as a lost uplink, also the active port's. */
  deadPathsLeft({ life, links, guests, kernel, network, loaded }) {
    if (!loaded.config.teams.some(({ probes }) => probes !== null)) return null;
    // Who can't be asked says nothing of a path.
    if (!network.targets.has(TARGET)) return null;
    const planned = life?.daemon.loop.last?.plan.teams.flatMap((team) => team.uplinks) ?? [];
    const isUsable = (name: string) => planned.find((one) => one.name === name)?.usable === true;
    const isLinked = (port: Port) => port.inBond && links.hasCarrier(port);
    // Who shapes an uplink himself keeps it; where no other is left a dead one is better than none.
    const better = links.ports.filter(
      (port) => links.isIntact(port) && !kernel.foreignRoots.has(port.name),
    );
    if (better.length === 0) return null;
    for (const port of links.ports) {
      const { name } = port;
      if (!isLinked(port) || links.isIntact(port)) continue;
      if (kernel.foreignRoots.has(name)) continue;
      if (isUsable(name)) return `${name} leads nowhere, and is used`;
      if (!better.some((other) => isUsable(other.name))) continue;
      if (links.activePort === name) return `${name} leads nowhere, and is the active port`;
      for (const mac of runningVnics(guests)) {
        if (wayOf(kernel, mac).port === name) return `${name} leads nowhere, and carries ${mac}`;
      }
    }
    return null;
  },

  /** A path that carries everything is not held for dead. */
  pathsTakenBack({ life, links, network }) {
    if (!network.targets.has(TARGET)) return null;
    for (const port of links.ports) {
      const path = life?.daemon.prober.paths.get(port.name);
      if (links.isIntact(port) && path?.healthy === false)
        return `${port.name} carries everything, and is held for dead: ${path.reason}`;
    }
    return null;
  },

  /** The daemon knows every domain as it is. */
  domainsKnown({ life, guests }) {
    const domains = life?.daemon.loop.last?.world.domains ?? [];
    const byName = new Map(domains.map((domain) => [domain.name, domain]));
    for (const guest of guests) {
      const domain = byName.get(guest.name);
      if (guest.state === "off") {
        if (domain !== undefined) return `${guest.name} is off and still known`;
        continue;
      }
      if (domain === undefined) return `${guest.name} is ${guest.state} and unknown`;
      if (domain.phase !== guest.state)
        return `${guest.name} is ${guest.state}, not ${domain.phase}`;
      const macs = domain.vnics.map((vnic) => vnic.mac).join();
      if (macs !== guest.vnics.join())
        return `${guest.name} has ${guest.vnics.join()}, not ${macs}`;
      const reserved = domain.vnics[0]?.policy.bandwidth.reservationBitsPerSecond;
      if (reserved !== undefined && reserved !== guest.wish.reservationMbit * 1e6)
        return `${guest.name} was promised ${guest.wish.reservationMbit}mbit, not ${reserved}`;
    }
    return null;
  },

  /** The journal has nobody on the way who isn't. */
  nobodyIsLeftOnTheWay({ guests, watcher, libvirt }) {
    for (const uuid of watcher.journaledMoves()) {
      const guest = guests.find((one) => one.uuid === uuid);
      if (guest === undefined || !libvirt.mover.isMoving(guest))
        return `${guest?.name ?? uuid} is not being moved, and the journal says so`;
    }
    return null;
  },

  /** What another version wrote into the journal is still there. */
  versionsRespected({ disk, added, watcher }) {
    if (
      watcher.isJournalDamaged() ||
      added === null ||
      disk === null ||
      JSON.parse(disk).added === added
    )
      return null;
    return "what another version wrote into the journal is lost";
  },

  /** With every uplink well, no domain is paused by us. */
  nobodyWaitsWithoutReason({ links, guests, kernel, life }) {
    const plans = new Map(life?.daemon.loop.last?.plan.domains.map((plan) => [plan.domain, plan]));
    const drained = life?.daemon.journal.contents.drains ?? [];
    const whole =
      drained.length === 0 &&
      links.ports.every((port) => links.canSend(port) && links.isIntact(port)) &&
      kernel.foreignRoots.size === 0;
    for (const guest of guests) {
      if (guest.pausedBy !== "uplinkd") continue;
      if (whole) return `${guest.name} is paused, and every uplink is well`;
      const action = plans.get(guest.name)?.action;
      if (action !== "pause") return `${guest.name} is paused, and the plan is ${action}`;
    }
    return null;
  },
};

export function checkAlways(simulation: Simulation): Violation | null {
  for (const [invariant, check] of Object.entries(ALWAYS)) {
    const what = check(simulation);
    if (what !== null) return { invariant, what };
  }
  return null;
}

export async function checkAtRest(simulation: Simulation): Promise<Violation | null> {
  for (const [invariant, check] of Object.entries(AT_REST)) {
    const what = await check(simulation);
    if (what !== null) return { invariant, what };
  }
  return null;
}

/** The bound of a pause of ours, with what a backoff may add. */
export function pauseLimitMs(): number {
  return MAX_PAUSE_MS + PAUSE_SLACK_MS;
}

/** Vnics of guests that run. */
export function runningVnics(guests: readonly Guest[]): string[] {
  return guests.flatMap((guest) => (guest.state === "running" ? [...guest.vnics] : []));
}
