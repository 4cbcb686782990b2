/** A daemon with a fixed status, for tests of the API and of uplinkctl: it implements the interface that we own. */
import type {
  ConfirmAnswer,
  ControlHandlers,
  DrainAnswer,
  EnableAnswer,
  EnablePart,
  Explanation,
  HoldAnswer,
  Measurements,
  ReleaseAnswer,
} from "../../../src/control/api.ts";
import { DurationLog } from "../../../src/daemon/durations.ts";
import { ConflictError } from "../../../src/model/errors.ts";
import type { UplinkEvent } from "../../../src/model/event.ts";
import { FALLBACK_POLICY } from "../../../src/model/policy.ts";
import type { SimulationDocument } from "../../../src/model/simulation.ts";
import type { DomainStatus, Status, VnicStatus } from "../../../src/model/status.ts";

const vnic: VnicStatus = {
  mac: "52:54:00:00:00:01",
  tap: "vnet0",
  team: "bond0",
  policy: "gold",
  priority: "high",
  home: "eno2",
  via: "eno1",
  recentMoves: 1,
  classId: "7570:10",
  reservationBitsPerSecond: 500e6,
  limitBitsPerSecond: null,
  shares: 200,
  grantedBitsPerSecond: 500e6,
  expectedBitsPerSecond: 850e6,
  sentBitsPerSecond: 320e6,
  demandBitsPerSecond: 330e6,
  backlogBytes: 3000,
  drops: 0,
  survivesOneLoss: true,
  guarantee: "holds with any one uplink lost",
  unshapedReason: null,
};

const web1: DomainStatus = {
  name: "web1",
  phase: "running",
  action: "none",
  pausedByUs: false,
  held: false,
  owner: null,
  migration: null,
  vnics: [vnic],
  problems: [],
};

const batch: DomainStatus = {
  name: "batch",
  phase: "paused",
  action: "pause",
  pausedByUs: true,
  held: false,
  owner: null,
  migration: null,
  vnics: [
    {
      ...vnic,
      mac: "52:54:00:00:00:02",
      policy: "bronze",
      priority: "low",
      home: "eno1",
      reservationBitsPerSecond: 0,
      grantedBitsPerSecond: 100e3,
      expectedBitsPerSecond: 50e6,
      sentBitsPerSecond: null,
      survivesOneLoss: false,
      guarantee: null,
    },
  ],
  problems: [
    { object: "domain batch", message: "there is no policy 'brnze'", remedy: "known: bronze" },
  ],
};

export const exampleStatus: Status = {
  daemon: {
    version: "0.1.0",
    pid: 4711,
    startedAtMs: 1_700_000_000_000,
    mode: "enforcing",
    scope: { kind: "host" },
    libvirt: "up",
    lastResyncMs: 1_700_000_100_000,
    confirmByMs: null,
  },
  teams: [
    {
      name: "bond0",
      bond: "bond0",
      mode: "active-backup",
      condition: "degraded",
      activePort: "eno1",
      uplinks: [
        {
          name: "eno1",
          usable: true,
          drained: false,
          carrier: true,
          probe: null,
          speedBitsPerSecond: 1e9,
          capacityBitsPerSecond: 950e6,
          committedBitsPerSecond: 510e6,
          sentBitsPerSecond: 400e6,
          demandBitsPerSecond: 475e6,
          backlogBytes: 4500,
          drops: 12,
          reason: "",
        },
        {
          name: "eno2",
          usable: false,
          drained: false,
          carrier: false,
          probe: null,
          speedBitsPerSecond: 1e9,
          capacityBitsPerSecond: 0,
          committedBitsPerSecond: 0,
          sentBitsPerSecond: null,
          demandBitsPerSecond: null,
          backlogBytes: null,
          drops: null,
          reason: "no carrier",
        },
      ],
      host: [
        {
          name: "default",
          classId: "7570:fff0",
          priority: "normal",
          reservationBitsPerSecond: 10e6,
          limitBitsPerSecond: null,
          shares: 100,
          grantedBitsPerSecond: 10e6,
          sentBitsPerSecond: 1e6,
          drops: 0,
        },
        {
          name: "migration",
          classId: "7570:fff3",
          priority: "low",
          reservationBitsPerSecond: 100e6,
          limitBitsPerSecond: 800e6,
          shares: 100,
          grantedBitsPerSecond: 60e6,
          sentBitsPerSecond: null,
          drops: 7,
        },
      ],
      reasons: ["eno2 has no carrier"],
      conflicts: [],
      loadWindowMs: 10_000,
      balance: null,
      sources: null,
    },
  ],
  domains: [web1, batch],
  problems: [],
  drift: [],
  contests: [],
};

export class FakeDaemon implements ControlHandlers {
  releases = 0;
  confirmWithinMs: number | null = null;
  statusDocument: Status = exampleStatus;
  readonly log: UplinkEvent[] = [];
  readonly listeners = new Set<(event: UplinkEvent) => void>();

  status(): Status {
    return this.statusDocument;
  }

  domainNames(): readonly string[] {
    return this.statusDocument.domains.map((domain) => domain.name);
  }

  explain(name: string): Explanation | null {
    const domain = this.statusDocument.domains.find((each) => each.name === name);
    if (domain === undefined) return null;
    return {
      domain,
      reasons: ["nothing has to be done: it fits"],
      vnics: domain.vnics.map((each) => ({
        mac: each.mac,
        policy: { ...FALLBACK_POLICY, policy: each.policy, priority: each.priority },
        reasons: ["home is eno2: least used of eno1, eno2"],
        classes: [
          { uplink: "eno1", reservationBitsPerSecond: 500e6, limitBitsPerSecond: 950e6 },
          { uplink: "eno2", reservationBitsPerSecond: 500e6, limitBitsPerSecond: 950e6 },
        ],
      })),
      teams: [{ name: "bond0", reasons: ["eno2 has no carrier"] }],
    };
  }

  uplinkNames(): readonly string[] {
    return this.statusDocument.teams.flatMap((team) => team.uplinks.map(({ name }) => name));
  }

  simulate(failed: readonly string[]): SimulationDocument {
    return { failed, condition: "degraded", uplinks: [], host: [], vnics: [], domains: [] };
  }

  async hold(domain: string): Promise<HoldAnswer | null> {
    return this.domainNames().includes(domain) ? { domain, held: true } : null;
  }

  async unhold(domain: string): Promise<HoldAnswer | null> {
    return this.domainNames().includes(domain) ? { domain, held: false } : null;
  }

  async drain(uplink: string, force: boolean): Promise<DrainAnswer> {
    const reasons = ["domain web1 52:54:00:00:00:01 would keep 0bit of its reservation of 500mbit"];
    if (!force) throw new ConflictError(`uplink ${uplink}`, `not drained: ${reasons[0]}`);
    return { uplink, drained: true, carries: [], reasons, problems: [] };
  }

  async undrain(uplink: string): Promise<DrainAnswer> {
    return { uplink, drained: false, carries: ["web1"], reasons: [], problems: [] };
  }

  events(sinceSequence: number) {
    return {
      events: this.log.filter((event) => event.sequence > sinceSequence),
      lastSequence: this.log.at(-1)?.sequence ?? 0,
      missed: false,
    };
  }

  measurements(): Measurements {
    return exampleMeasurements(this.log.filter((event) => event.id === "uplink-lost").length);
  }

  followEvents(listener: (event: UplinkEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  release(): ReleaseAnswer | Promise<ReleaseAnswer> {
    this.releases++;
    return { steps: ["eno1: root qdisc removed"], problems: [] };
  }

  observe(): ReleaseAnswer {
    return { steps: ["eno1: root qdisc removed"], problems: [] };
  }

  teamNames(): readonly string[] {
    return this.statusDocument.teams.map(({ name }) => name);
  }

  enable(confirmWithinMs: number | null, part: EnablePart): EnableAnswer {
    this.confirmWithinMs = confirmWithinMs;
    const confirmByMs = confirmWithinMs === null ? null : Date.now() + confirmWithinMs;
    const scope = part.kind === "domain" ? { ...part, teams: ["bond0"] } : part;
    return { mode: "enforcing", scope, confirmByMs, problems: [] };
  }

  confirm(): ConfirmAnswer {
    const confirmed = this.confirmWithinMs !== null;
    this.confirmWithinMs = null;
    return { confirmed };
  }

  /** Something happens. */
  tell(id: string, message = `${id} happened`): void {
    const event: UplinkEvent = {
      sequence: (this.log.at(-1)?.sequence ?? 0) + 1,
      atMs: 1_700_000_000_000,
      severity: "notice",
      id,
      revision: 1,
      message,
      fields: {},
    };
    this.log.push(event);
    for (const listener of this.listeners) listener(event);
  }
}

/** Of a daemon that has answered so many losses, each in 0.2 ms. */
export function exampleMeasurements(losses: number): Measurements {
  const durations = new DurationLog(() => 0);
  for (let count = 0; count < losses; count += 1) durations.noteFailover(0.0002);
  durations.noteConditions([{ name: "bond0", condition: "degraded" }]);
  return { events: new Map([["uplink-lost", losses]]), durations: durations.read() };
}
