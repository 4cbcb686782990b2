/** Tells the switches where vNICs are after they changed uplink, by frames in their name. */
import type { Clock } from "../model/clock.ts";
import type { AnnouncementRules } from "../model/config.ts";
import type { Mac } from "../model/mac.ts";
import type { Plan } from "../model/plan.ts";
import { PRIORITIES } from "../model/policy.ts";
import type { DomainState, VnicState, World } from "../model/world.ts";
import { announcementFrame } from "../packet/announcement.ts";
import { type Announcement, AnnouncementSchedule, type Carried } from "../packet/schedule.ts";
import { wiringOf } from "../plan/steering.ts";
import type { EventLog } from "./events.ts";
import type { Run } from "./loop.ts";
import type { FramePort } from "./ports.ts";

export interface AnnouncerOptions {
  /** null: there is no raw socket, and nothing is announced. */
  readonly frames: FramePort | null;
  readonly log: EventLog;
  readonly clock: Clock;
  /** As configured now. */
  readonly rules: () => AnnouncementRules | null;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #schedule = new AnnouncementSchedule();
  #domainOf: ReadonlyMap<Mac, string> = new Map();
  #ifindexOf: ReadonlyMap<string, number> = new Map();
  #cancel: () => void = () => undefined;
  /** Uplinks whose last frame could not be sent, so that it is told once. */
  readonly #failing = new Set<string>();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** After a plan is in force: whoever goes by another uplink than before is announced there. */
  follow(world: World, plan: Plan): void {
    const members = membersOf(world);
    this.#domainOf = new Map([...members].map(([mac, { domain }]) => [mac, domain.name]));
    this.#ifindexOf = new Map(
      world.teams.flatMap((team) =>
        team.uplinks.map(({ name, ifindex }) => [name, ifindex] as const),
      ),
    );
    // To a partner of LACP all ports are one: a vNIC that changes its port has not moved.
    const grouped = new Set(
      world.teams.filter((team) => !wiringOf(team).separate).map((team) => team.config.name),
    );
    const moving = plan.vnics.filter((vnic) => !grouped.has(vnic.team));
    const carried = moving.map((vnic): Carried => {
      const member = members.get(vnic.mac);
      return {
        mac: vnic.mac,
        uplink: vnic.via,
        before: member?.vnic.kernel?.via ?? null,
        vlanIds: member?.vnic.vlanIds ?? [0],
        guest: guestOf(member?.domain),
        rank: PRIORITIES.indexOf(vnic.priority),
      };
    });
    this.#schedule.note(carried, this.#rules(), this.#options.clock.now());
    this.#send();
  }

  /** Right after the messages prepared for a loss were sent: the plan that they came from is in force. */
  anticipate(last: Run | null, uplink: string): void {
    const loss = last?.losses.find((candidate) => candidate.uplink === uplink);
    if (last !== null && loss !== undefined) this.follow(last.world, loss.plan);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#cancel();
    this.#options.frames?.close();
  }

  #rules(): AnnouncementRules | null {
    return this.#options.frames === null ? null : this.#options.rules();
  }

  #send(): void {
    const { frames, clock } = this.#options;
    this.#cancel();
    if (frames === null) return;
    const nowMs = clock.now();
    const taken = this.#schedule.take(this.#rules(), nowMs);
    const sent = taken.filter((announcement) => this.#sendOne(frames, announcement));
    const next = this.#schedule.nextAtMs(nowMs);
    if (next !== null) this.#cancel = clock.after(next - nowMs, () => this.#send());
    // Told last: writing the log takes longer than the frames do.
    for (const { mac, uplink, first } of sent) {
      if (!first) continue;
      const domain = this.#domainOf.get(mac) ?? "";
      this.#options.log.tell(
        "info",
        "announced",
        `domain ${domain} ${mac} announced by ${uplink}`,
        {
          ...{ domain, mac, uplink },
        },
      );
    }
  }

  #sendOne(frames: FramePort, { mac, uplink, vlanIds }: Announcement): boolean {
    const ifindex = this.#ifindexOf.get(uplink) ?? 0;
    for (const vlanId of vlanIds) {
      const refusal = frames.send(ifindex, announcementFrame(mac, vlanId));
      if (refusal !== null) {
        this.#tellFailure(uplink, refusal);
        return false;
      }
    }
    this.#failing.delete(uplink);
    return true;
  }

  #tellFailure(uplink: string, refusal: string): void {
    if (this.#failing.has(uplink)) return;
    this.#failing.add(uplink);
    this.#options.log.tell(
      "warning",
      "announce-failed",
      `uplink ${uplink}: an announcement could not be sent: ${refusal}; what is left of them follows`,
      { uplink },
    );
  }
}

interface Member {
  readonly domain: DomainState;
  readonly vnic: VnicState;
}

/** Of two vNICs with one MAC the one that a team carries. */
function membersOf(world: World): ReadonlyMap<Mac, Member> {
  return new Map(
    world.domains.flatMap((domain) =>
      domain.vnics
        .filter((vnic) => vnic.team !== null)
        .map((vnic) => [vnic.mac, { domain, vnic }] as const),
    ),
  );
}

function guestOf(domain: DomainState | undefined): Carried["guest"] {
  switch (domain?.phase) {
    case "running":
      return "here";
    case "paused":
      return "silent";
    default:
      return "elsewhere";
  }
}
