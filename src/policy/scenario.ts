/**
 * Scenario files of `uplinkctl simulate`: one team, policies and domains, as a world that nothing was measured in.
 * The format is a promise: docs/reference shows it.
 */
import { type Destination, UNJUDGED } from "../model/config.ts";
import { PolicyError } from "../model/errors.ts";
import { HOST_CLASSES } from "../model/host-traffic.ts";
import type { Mac } from "../model/mac.ts";
import {
  FALLBACK_POLICY,
  mergePolicy,
  type NetworkPolicy,
  type NetworkWish,
} from "../model/policy.ts";
import { UNPROBED } from "../model/probe.ts";
import { clip, formatRate } from "../model/units.ts";
import { nearestWord } from "../model/word.ts";
import type { DomainState, TeamState, VnicState, World } from "../model/world.ts";
import { buildHostClasses, hostContradictions } from "./host-file.ts";
import { toWish } from "./policy-file.ts";
import {
  type Scenario,
  type ScenarioDomain,
  type ScenarioNetwork,
  type ScenarioVnic,
  scenarioSchema,
} from "./scenario-schema.ts";
import { type Locate, parseYaml, type YamlResult } from "./yaml.ts";

const DEFAULT_HEADROOM = 0.05;

type Path = readonly PropertyKey[];

/**
 * Parses a scenario. Pure.
 * @param file the name used in errors
 * @returns the world before any loss, or everything that is wrong with the file
 */
export function parseScenario(file: string, text: string): YamlResult<World> {
  const parsed = parseYaml(file, text, scenarioSchema);
  if (!parsed.ok) return parsed;
  const checker = new Checker(parsed.value, parsed.at);
  const world = checker.check();
  return checker.errors.length > 0
    ? { ok: false, errors: checker.errors }
    : { ok: true, value: world, at: parsed.at };
}

/** Builds the world and collects what the shape alone can't tell on the way. */
class Checker {
  readonly errors: PolicyError[] = [];
  readonly #scenario: Scenario;
  readonly #at: Locate;
  readonly #uplinks: ReadonlySet<string>;
  readonly #labels: ReadonlySet<string>;
  readonly #policies: ReadonlyMap<string, NetworkWish>;
  readonly #macs = new Map<Mac, string>();

  constructor(scenario: Scenario, at: Locate) {
    this.#scenario = scenario;
    this.#at = at;
    this.#uplinks = new Set(scenario.team.uplinks.map((entry) => entry.name));
    this.#labels = new Set(scenario.team.uplinks.flatMap((entry) => entry.label ?? []));
    this.#policies = new Map(
      Object.entries(scenario.policies ?? {}).map(([key, value]) => [key, toWish(value)]),
    );
  }

  check(): World {
    const { domains = [], policies = {} } = this.#scenario;
    for (const key of Object.keys(policies)) this.#checkWish([["policies", key]]);
    this.#checkTwice(
      "domain",
      domains.map((domain) => domain.name),
      ["domains"],
    );
    return {
      nowMs: 0,
      hypothetical: true,
      config: {
        teams: [],
        autoTeams: false,
        admission: { mode: "off", survive: 0 },
        annotations: "strict",
        caps: [],
        owners: [],
        destinations: this.#destinations(),
        migration: {
          concurrent: 1,
          bandwidthBitsPerSecond: null,
          timeoutMs: Number.MAX_SAFE_INTEGER,
          retryMs: 0,
        },
        maxPauseMs: Number.MAX_SAFE_INTEGER,
        resyncMs: 60_000,
        announcements: null,
      },
      teams: [this.#team()],
      domains: domains.map((domain, index) => this.#domain(domain, index)),
      kernel: new Map(),
    };
  }

  /** Whoever is named is there, and one more for who names none. */
  #destinations(): Destination[] {
    const wishes: Pick<ScenarioDomain, "failover">[] = [
      ...Object.values(this.#scenario.policies ?? {}),
    ];
    for (const domain of this.#scenario.domains ?? []) {
      for (const level of [domain, ...(domain.vnics ?? [])])
        wishes.push(level, level.network ?? {});
    }
    const named = wishes.flatMap(({ failover: said }) => said?.destination ?? []);
    return ["another host", ...new Set(named)].map((own) => ({
      name: own,
      uri: "",
      migrateUri: null,
    }));
  }

  #team(): TeamState {
    const { team } = this.#scenario;
    const { uplinks, host } = team;
    this.#checkTwice(
      "uplink",
      uplinks.map((entry) => entry.name),
      ["team", "uplinks"],
    );
    for (const [index, { speed }] of uplinks.entries())
      if (speed === 0) this.#fault(["team", "uplinks", index, "speed"], "must be above zero");
    for (const { path, message } of hostContradictions(host ?? {}))
      this.#fault(["team", "host", ...path], message);
    if (team.headroom === 1) this.#fault(["team", "headroom"], "leaves no capacity");
    if (team.active !== undefined) this.#checkUplink(team.active, ["team", "active"]);
    const mode = team.mode ?? "active-backup";
    const bond = team.bond ?? "bond0";
    const firstUp = uplinks.find((entry) => entry.carrier !== false)?.name ?? null;
    return {
      config: {
        name: bond,
        bond,
        uplinks: uplinks.map((entry) => ({
          name: entry.name,
          label: entry.label ?? null,
          speedBitsPerSecond: entry.speed,
        })),
        headroom: team.headroom ?? DEFAULT_HEADROOM,
        // Critical: a scenario's host traffic takes its part first.
        host: {
          reservationBitsPerSecond: host?.reservation ?? 0,
          limitBitsPerSecond: null,
          shares: 100,
          priority: "critical",
        },
        hostClasses: buildHostClasses(host),
        floorBitsPerSecond: 0,
        holdDownMs: 0,
        holdDownMaxMs: 0,
        bondUpdelayMs: null,
        // As scenarios of these modes have always been: vNICs are placed.
        steering: team.steering ?? "redirect",
        loadWindowMs: 1,
        rebalance: { mode: "off", threshold: 1, coolDownMs: 0 },
        sources: UNJUDGED,
        probes: null,
      },
      bond: {
        name: bond,
        ifindex: 1,
        mode,
        activePort: mode === "active-backup" ? (team.active ?? firstUp) : null,
        primaryPort: null,
        miimonMs: 100,
        updelayMs: 0,
        txQueues: 16,
        hashPolicy: "vlan+srcmac",
        portOrder: uplinks.map((entry) => entry.name),
      },
      uplinks: uplinks.map((entry, index) => ({
        name: entry.name,
        ifindex: index + 2,
        label: entry.label ?? null,
        speedBitsPerSecond: entry.speed,
        adminUp: true,
        carrier: entry.carrier !== false,
        bondUp: entry.carrier !== false,
        inBond: true,
        distributing: true,
        ...UNPROBED,
        drainedAtMs: null,
        holdDownMs: 0,
        queueId: 0,
        txQueues: 1,
        lostAtMs: null,
        returnedAtMs: null,
      })),
      conflicts: [],
      hostDemandBitsPerSecond: host?.demand ?? null,
      hostClassDemandsBitsPerSecond: HOST_CLASSES.flatMap((key) => {
        const entry = host?.[key];
        return entry === undefined ? [] : [entry.demand ?? null];
      }),
      hostMacs: [],
      passedOnFrom: [],
      lastMoveAtMs: null,
      movesWaitSinceMs: null,
    };
  }

  #domain(domain: ScenarioDomain, index: number): DomainState {
    const path = ["domains", index];
    // What it says is wrong even where no vNIC has it.
    this.#policy(this.#levelsOf(domain, path));
    return {
      name: domain.name,
      uuid: domain.name,
      phase: "running",
      vnics: (domain.vnics ?? []).map((entry, position) =>
        this.#vnic(domain, entry, path, [...path, "vnics", position]),
      ),
      problems: [],
      owner: null,
      held: false,
      pausedByUs: null,
      exempt: null,
      migration: null,
      refusals: [],
    };
  }

  #vnic(domain: ScenarioDomain, entry: ScenarioVnic, domainPath: Path, path: Path): VnicState {
    const first = this.#macs.get(entry.mac);
    if (first !== undefined) {
      this.#fault([...path, "mac"], `${entry.mac} is there twice: ${first} has it already`);
    }
    this.#macs.set(entry.mac, `domain ${domain.name}`);
    if (entry.home !== undefined) this.#checkUplink(entry.home, [...path, "home"]);
    return {
      mac: entry.mac,
      vlanIds: [0],
      recentMoves: [],
      team: this.#scenario.team.bond ?? "bond0",
      unshapedReason: null,
      tap: null,
      isMacvtap: false,
      policy: this.#policy([...this.#levelsOf(domain, domainPath), ...this.#levelsOf(entry, path)]),
      // Where it is, as the kernel would tell of a running one; 0 is no class of a vNIC's, so it gets a fresh one.
      kernel:
        entry.home === undefined
          ? null
          : { minor: 0, handle: this.#macs.size, home: entry.home, via: entry.home },
      demandBitsPerSecond: entry.demand ?? null,
      measuredSinceMs: entry.demand === undefined ? null : 0,
      backlogBytes: 0,
      latchedDemandBitsPerSecond: null,
    };
  }

  /** What a domain or a vNIC says, in either of the two places. */
  #levelsOf(
    level: Level["value"] & { readonly network?: Level["value"] | undefined },
    path: Path,
  ): Level[] {
    const direct = { value: level, path };
    if (level.network === undefined) return [direct];
    return [direct, { value: level.network, path: [...path, "network"] }];
  }

  /** A policy of the file, then the domain's keys, then the vNIC's. */
  #policy(levels: readonly Level[]): NetworkPolicy {
    for (const { value, path: at } of levels) {
      if (value.policy !== undefined && !this.#policies.has(value.policy))
        this.#unknown("policy", value.policy, [...this.#policies.keys()], [...at, "policy"]);
    }
    const named = levels.findLast(({ value }) => value.policy !== undefined)?.value.policy;
    const policy = named ?? (this.#policies.has("default") ? "default" : undefined);
    this.#checkWish([
      ...(policy === undefined ? [] : [["policies", policy]]),
      ...levels.map((level) => level.path),
    ]);
    return levels.reduce(
      (merged, { value }) => mergePolicy(merged, toWish(value)),
      mergePolicy(
        FALLBACK_POLICY,
        policy === undefined ? {} : { ...this.#policies.get(policy), policy },
      ),
    );
  }

  /** What several maps laid over each other, the first lowest, say together; told at the topmost that says it. */
  #checkWish(paths: readonly Path[]): void {
    let reservation: Said | undefined;
    let limit: Said | undefined;
    for (const [level, path] of paths.entries()) {
      const value = valueAt(this.#scenario, path) as ScenarioNetwork | undefined;
      const said = value?.bandwidth ?? {};
      const at = (key: string) => ({ level, path: [...path, "bandwidth", key] });
      if (said.reservation !== undefined)
        reservation = { ...at("reservation"), value: said.reservation };
      if (said.limit !== undefined) limit = { ...at("limit"), value: said.limit };
      for (const [index, wanted] of (value?.placement?.prefer ?? []).entries()) {
        if (!this.#labels.has(wanted))
          this.#checkUplink(wanted, [...path, "placement", "prefer", index]);
      }
    }
    if (limit?.value === 0) this.#fault(limit.path, "must be above zero");
    else if (limit !== undefined && reservation !== undefined && limit.value < reservation.value) {
      const figures = `${formatRate(limit.value)} and ${formatRate(reservation.value)}`;
      if (reservation.level > limit.level)
        this.#fault(reservation.path, `the limit is below the reservation: ${figures}`);
      else this.#fault(limit.path, `the limit is below the reservation: ${figures}`);
    }
  }

  #checkUplink(wanted: string, path: Path): void {
    if (!this.#uplinks.has(wanted)) this.#unknown("uplink", wanted, [...this.#uplinks], path);
  }

  #checkTwice(kind: string, names: readonly string[], path: Path): void {
    const seen = new Set<string>();
    for (const [index, entry] of names.entries()) {
      if (seen.has(entry)) this.#fault([...path, index, "name"], `${kind} ${entry} is there twice`);
      seen.add(entry);
    }
  }

  #unknown(kind: string, wanted: string, known: readonly string[], path: Path): void {
    const meant = nearestWord(wanted, known);
    const hint =
      meant === null
        ? `known: ${known.length === 0 ? "none" : known.join(", ")}`
        : `did you mean '${meant}'?`;
    this.#fault(path, `there is no ${kind} '${clip(wanted)}'; ${hint}`);
  }

  #fault(path: Path, message: string): void {
    const error = new PolicyError(this.#at(path), message);
    // A policy that several vNICs have is wrong once.
    if (!this.errors.some((known) => known.describe() === error.describe()))
      this.errors.push(error);
  }
}

interface Level {
  readonly value: ScenarioNetwork;
  readonly path: Path;
}

interface Said {
  readonly value: number;
  readonly level: number;
  readonly path: Path;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (found, key) => (found as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
}
