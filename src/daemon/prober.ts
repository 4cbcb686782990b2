/**
 * Probes every uplink of the teams that want it, and says whose path is dead behind a link that is up. Looks are half an
 * interval apart; asked is once an interval, and at every look while something is missing.
 */
import { parseAddress } from "../model/address.ts";
import type { Clock } from "../model/clock.ts";
import { UplinkError } from "../model/errors.ts";
import { type Mac, macFromBytes } from "../model/mac.ts";
import { blockOf, type PathState, type ProbeRules, targetName } from "../model/probe.ts";
import type { ProbeStatus } from "../model/status.ts";
import type { TeamState, World } from "../model/world.ts";
import {
  isInDoubt,
  type Look,
  NO_PATHS,
  observeLinks,
  observePaths,
  type PathChange,
  peerName,
  stateOfPath,
  type TeamPaths,
} from "../observe/paths.ts";
import {
  betweenProbe,
  type Heard,
  neighbourAdvertisement,
  readHeard,
  targetProbe,
} from "../packet/probe.ts";
import type { EventLog } from "./events.ts";
import type { EarPort, FramePort, PathSource } from "./ports.ts";

export interface ProberOptions {
  /** null: there is no raw socket, and nothing is probed. */
  readonly frames: FramePort | null;
  /** Listens by an uplink. @throws UplinkError where that can't be had */
  readonly listen: (ifindex: number, mac: Mac, vlanIds: readonly number[]) => EarPort;
  readonly log: EventLog;
  readonly clock: Clock;
  /** The host's block of MACs. */
  readonly block: Mac;
  /** MACs of the host's own devices. */
  readonly hostMacs: () => ReadonlySet<Mac>;
  /** Paths changed; `dead` are those that died just now. */
  readonly changed: (dead: readonly string[]) => void;
}

/** One uplink that is probed. */
interface Member {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: Mac;
  linked: boolean;
  /** null: without a link, or nothing could be opened. */
  ears: EarPort | null;
  /** It has taken part in the last round. */
  asked: boolean;
  /** Who answered for each target, to be asked alone. */
  readonly known: Map<string, Mac>;
  /** Targets that have not answered since they were asked alone: the next time everybody is asked. */
  readonly pending: Set<string>;
  sent: number;
  heardAtMs: number | null;
}

interface Team {
  readonly name: string;
  rules: ProbeRules;
  members: readonly Member[];
  paths: TeamPaths;
  /** Whether the next look is one at what was asked. */
  asked: boolean;
  /** Between two rounds: nothing is asked unless there is doubt. */
  resting: boolean;
  readonly floods: Set<string>;
  cancel: () => void;
}

export class Prober implements PathSource {
  readonly block: Mac;
  readonly #options: ProberOptions;
  readonly #teams = new Map<string, Team>();
  /** Of guests here: what they flood comes back by the other uplinks and says nothing of the world outside. */
  #guestMacs: ReadonlySet<Mac> = new Set();
  /** What could not be sent or opened, so that it is told once. */
  readonly #failing = new Set<string>();

  constructor(options: ProberOptions) {
    this.#options = options;
    this.block = options.block;
  }

  get paths(): ReadonlyMap<string, PathState> {
    return new Map(
      [...this.#teams.values()].flatMap(({ paths }) =>
        [...paths.uplinks].map(([name, memory]) => [name, stateOfPath(memory)] as const),
      ),
    );
  }

  /** What is to be told of an uplink; null where it isn't probed. */
  statusOf(uplink: string): ProbeStatus | null {
    for (const { rules, members, paths } of this.#teams.values()) {
      const member = members.find(({ name }) => name === uplink);
      const memory = paths.uplinks.get(uplink);
      if (member === undefined || memory === undefined) continue;
      return {
        mac: member.mac,
        path: memory.state,
        targets: rules.targets.map((target) => ({
          address: target.address,
          vlanId: target.vlanId,
          answers: memory.answered.has(targetName(target)),
        })),
        sentFrames: member.sent,
        heardAtMs: member.heardAtMs,
      };
    }
    return null;
  }

  /** Takes the teams and their links as they are now; begins and ends what follows from that. */
  follow(world: World): void {
    this.#guestMacs = new Set(world.domains.flatMap(({ vnics }) => vnics.map(({ mac }) => mac)));
    const { frames } = this.#options;
    const wanted = world.teams.filter(({ config }) => config.probes !== null && frames !== null);
    for (const [name, team] of this.#teams) {
      if (!wanted.some(({ config }) => config.name === name)) this.#end(team);
    }
    for (const state of wanted) this.#followTeam(state);
  }

  /** Probes no more, and knows nothing any more: every path counts as healthy. */
  stop(): void {
    for (const team of this.#teams.values()) this.#end(team);
  }

  #followTeam(state: TeamState): void {
    const { probes: rules, name } = state.config;
    if (rules === null) return;
    let team = this.#teams.get(name);
    const isNew = team === undefined;
    team ??= {
      ...{ name, rules, members: [], paths: NO_PATHS, asked: false, resting: false },
      ...{ floods: new Set<string>(), cancel: () => undefined },
    };
    const isChanged = JSON.stringify(rules) !== JSON.stringify(team.rules);
    if (isChanged) for (const { ears } of team.members) ears?.close();
    const before = isChanged ? [] : team.members;
    team.rules = rules;
    team.members = state.uplinks.flatMap((uplink) => {
      const { name: port, ifindex, probeMac: mac } = uplink;
      if (mac === null) return [];
      const same = before.find((member) => member.name === port);
      const isSame = same?.ifindex === ifindex && same.mac === mac;
      if (same !== undefined && !isSame) same.ears?.close();
      const member: Member =
        same !== undefined && isSame
          ? same
          : {
              ...{ name: port, ifindex, mac, linked: false, ears: null, sent: 0, heardAtMs: null },
              ...{ asked: false, known: new Map(), pending: new Set() },
            };
      this.#listen(member, rules, uplink.adminUp && uplink.carrier && uplink.inBond);
      return [member];
    });
    const gone = before.filter(({ name: port }) => team.members.every((m) => m.name !== port));
    for (const { ears } of gone) ears?.close();
    team.paths = observeLinks(team.paths, linksOf(team));
    if (!isNew) return;
    this.#teams.set(name, team);
    this.#tick(team);
  }

  #listen(member: Member, rules: ProbeRules, isLinked: boolean): void {
    member.linked = isLinked;
    if (!isLinked) {
      member.ears?.close();
      member.ears = null;
      member.asked = false;
      return;
    }
    const { targets, betweenVlanIds } = rules;
    const vlanIds = [...new Set([...targets.map(({ vlanId }) => vlanId), ...betweenVlanIds])];
    try {
      member.ears ??= this.#options.listen(member.ifindex, member.mac, vlanIds);
    } catch (error) {
      if (!(error instanceof UplinkError)) throw error;
      this.#tellFailure(member.name, `is not probed: ${error.message}`);
    }
  }

  #end(team: Team): void {
    team.cancel();
    for (const { ears } of team.members) ears?.close();
    this.#teams.delete(team.name);
  }

  #tick(team: Team): void {
    const { clock } = this.#options;
    team.cancel = clock.after(Math.ceil(team.rules.intervalMs / 2), () => this.#tick(team));
    const looks = this.#look(team);
    let changes: readonly PathChange[] = [];
    if (team.asked) {
      team.floods.clear();
      const seen = observePaths(team.paths, looks, team.rules);
      team.paths = seen.paths;
      changes = seen.changes;
    }
    team.resting = team.asked && !team.resting && !isInDoubt(team.paths, team.rules);
    team.asked = !team.resting;
    if (team.asked) for (const member of team.members) this.#ask(team, member);
    this.#tell(team, changes);
  }

  /** What has come in since the last time. */
  #look(team: Team): ReadonlyMap<string, Look> {
    const hostMacs = this.#options.hostMacs();
    return new Map(
      judgeable(team).map((member): [string, Look] => {
        const answered = new Set<string>();
        const heard = new Set<string>();
        const { ears, name, linked, asked } = member;
        for (const { vlanId, frame } of ears?.answers() ?? [])
          this.#take(team, member, vlanId, readHeard(frame, member.mac), { answered, heard });
        for (const frame of ears?.floods() ?? []) {
          const source = macFromBytes(frame.slice(6, 12));
          // Another uplink's broadcast says what its probe to this one says, in a VLAN that isn't known here.
          const isOurs = this.#guestMacs.has(source) || hostMacs.has(source);
          if (blockOf(source) !== this.block && !isOurs) team.floods.add(name);
        }
        if (answered.size + heard.size > 0) member.heardAtMs = this.#options.clock.now();
        // Floods count until the next look, whenever they came.
        return [name, { linked, asked, answered, heard, floods: team.floods.has(name) }];
      }),
    );
  }

  #take(
    team: Team,
    member: Member,
    vlanId: number,
    said: Heard,
    into: { readonly answered: Set<string>; readonly heard: Set<string> },
  ): void {
    switch (said.kind) {
      case "answer": {
        const target = team.rules.targets.find(
          (one) =>
            one.vlanId === vlanId && parseAddress(one.address)?.join() === said.address.join(),
        );
        if (target === undefined) return;
        into.answered.add(targetName(target));
        member.known.set(targetName(target), said.mac);
        member.pending.delete(targetName(target));
        return;
      }
      case "uplink": {
        const peer = team.members.find(({ mac }) => mac === said.mac);
        if (peer !== undefined && peer !== member) into.heard.add(peerName(peer.name, vlanId));
        return;
      }
      case "asked":
        this.#send(member, neighbourAdvertisement(member.mac, said.by, said.mac, vlanId));
        return;
      case "other":
    }
  }

  #ask(team: Team, member: Member): void {
    const { rules, members } = team;
    if (member.ears === null) return;
    member.asked = true;
    for (const target of rules.targets) {
      const name = targetName(target);
      // Whoever has it now may be another than before: after a silence everybody is asked.
      if (member.pending.has(name)) member.known.delete(name);
      member.pending.add(name);
      const source = target.sources[member.name];
      this.#send(
        member,
        targetProbe(
          member.mac,
          parseAddress(target.address) ?? new Uint8Array(4),
          target.vlanId,
          source === undefined ? null : parseAddress(source),
          member.known.get(name) ?? null,
        ),
      );
    }
    for (const vlanId of rules.betweenVlanIds) {
      for (const peer of members) {
        if (peer === member || peer.ears === null) continue;
        this.#send(member, betweenProbe(member.mac, peer.mac, vlanId));
      }
    }
  }

  #send(member: Member, frame: Uint8Array): void {
    const refusal = this.#options.frames?.send(member.ifindex, frame) ?? null;
    if (refusal !== null) this.#tellFailure(member.name, `a probe could not be sent: ${refusal}`);
    else {
      member.sent += 1;
      this.#failing.delete(member.name);
    }
  }

  #tell(team: Team, changes: readonly PathChange[]): void {
    const { log, changed } = this.#options;
    const dead = changes.flatMap((change) =>
      change.kind === "path" && change.dead ? [change.uplink] : [],
    );
    // Acted on first: writing the log takes longer.
    if (changes.some(({ kind }) => kind === "path")) changed(dead);
    const fields = { team: team.name };
    for (const change of changes) {
      if (change.kind === "target") {
        const { target, silent } = change;
        const words = silent ? "answers by no uplink" : "answers again";
        const id = silent ? "target-silent" : "target-answers";
        log.tell(silent ? "warning" : "notice", id, `team ${team.name}: ${target} ${words}`, {
          ...fields,
          target,
        });
      } else if (change.kind === "blind") {
        const words = change.blind
          ? "nothing comes in by any uplink: the probes can't tell them apart, and nothing is moved"
          : "probes are answered again";
        const id = change.blind ? "paths-unknown" : "paths-known";
        log.tell(change.blind ? "warning" : "notice", id, `team ${team.name}: ${words}`, fields);
      }
    }
  }

  #tellFailure(uplink: string, message: string): void {
    if (this.#failing.has(uplink)) return;
    this.#failing.add(uplink);
    this.#options.log.tell("warning", "probe-failed", `uplink ${uplink}: ${message}`, { uplink });
  }
}

function linksOf(team: Team): ReadonlyMap<string, boolean> {
  return new Map(judgeable(team).map(({ name, linked }) => [name, linked]));
}

/** Less those that have a link and that nothing can be heard by: nothing is known of them. */
function judgeable({ members }: Team): readonly Member[] {
  return members.filter(({ linked, ears }) => !linked || ears !== null);
}
