import assert from "node:assert/strict";
import { describeStatus, explainDomain, ownProblems } from "../../../src/daemon/describe.ts";
import type { Run } from "../../../src/daemon/loop.ts";
import type { HostClass } from "../../../src/model/host-traffic.ts";
import type { DaemonStatus } from "../../../src/model/status.ts";
import type { World } from "../../../src/model/world.ts";
import { NO_LOADS } from "../../../src/observe/demand.ts";
import { planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, MBIT, NOW, withUplink } from "../world.ts";

const daemon: DaemonStatus = {
  version: "0",
  pid: 1,
  startedAtMs: 0,
  mode: "enforcing",
  scope: { kind: "host" },
  libvirt: "up",
  lastResyncMs: null,
  confirmByMs: null,
};
const whole = buildWorld({
  uplinks: [
    { name: "eno1", speedBitsPerSecond: GBIT },
    { name: "eno2", speedBitsPerSecond: GBIT },
  ],
  domains: [
    {
      name: "web1",
      vnics: [{ home: "eno1", bandwidth: { reservationBitsPerSecond: 300 * MBIT } }],
    },
  ],
});

function runOf(world: World): Run {
  const planned = planLosses(world, planWorld(world));
  return {
    world,
    plan: planned.plan,
    losses: planned.losses,
    moves: new Map(),
    sourceCounts: [],
    inboundCounts: [],
    steps: [],
  };
}

describe("the status document", () => {
  it("says that the journal couldn't be used, and what to do, until somebody has enabled or released", () => {
    const own = ownProblems({ lost: "is damaged" });
    const [first] = describeStatus(
      daemon,
      runOf(whole),
      NO_LOADS,
      [],
      [],
      () => null,
      own,
    ).problems;
    assert.equal(first?.object, "journal");
    assert.match(first.message, /^is damaged; whether this host was released isn't known/);
    assert.match(first.remedy, /uplinkctl enable.*uplinkctl release/);
    assert.deepEqual(ownProblems({ lost: null }), []);
  });

  it("shows home, class and what was promised, and where frames go while home is lost", () => {
    const status = describeStatus(daemon, runOf(whole), NO_LOADS, [], [], () => null, []);
    const vnic = status.domains[0]?.vnics[0];
    assert.deepEqual(
      [
        vnic?.home,
        vnic?.via,
        vnic?.classId,
        vnic?.reservationBitsPerSecond,
        vnic?.sentBitsPerSecond,
      ],
      ["eno1", "eno1", "7570:10", 300 * MBIT, null],
    );
    assert.equal(status.teams[0]?.condition, "ok");
    const lost = withUplink(whole, "eno1", { carrier: false, bondUp: false, lostAtMs: NOW });
    const degraded = describeStatus(daemon, runOf(lost), NO_LOADS, [], [], () => null, []);
    assert.deepEqual(
      [degraded.domains[0]?.vnics[0]?.home, degraded.domains[0]?.vnics[0]?.via],
      ["eno1", "eno2"],
    );
    assert.deepEqual(
      degraded.teams[0]?.uplinks.map(({ usable, reason }) => [usable, reason]),
      [
        [false, "no carrier"],
        [true, "usable"],
      ],
    );
  });

  it("shows the host's classes, and explains what they keep", () => {
    const [team] = whole.teams;
    assert.ok(team !== undefined);
    const match = { protocol: "tcp", sourcePorts: "22", destinationPorts: null } as const;
    const storage: HostClass = {
      name: "storage",
      reservationBitsPerSecond: 200 * MBIT,
      limitBitsPerSecond: null,
      shares: 100,
      priority: "normal",
      matches: [{ ...match, source: null, destination: null, vlanId: null }],
    };
    const config = { ...team.config, hostClasses: [storage] };
    const run = runOf({ ...whole, teams: [{ ...team, config }] });
    const [status] = describeStatus(daemon, run, NO_LOADS, [], [], () => null, []).teams;
    assert.deepEqual(
      status?.host.map(({ name, classId, grantedBitsPerSecond }) => [
        name,
        classId,
        grantedBitsPerSecond,
      ]),
      [
        ["default", "7570:fff0", 8],
        ["storage", "7570:fff4", 200 * MBIT],
      ],
    );
    const told = explainDomain("web1", run, NO_LOADS)?.teams.flatMap(({ reasons }) => reasons);
    assert.match(
      told?.join("\n") ?? "",
      /the host keeps 200mbit of each uplink: .*storage 200mbit/,
    );
  });

  it("explains a domain, with what each loss would bring; knows no strangers", () => {
    const run = runOf(whole);
    const text = explainDomain("web1", run, NO_LOADS)?.reasons.join("\n") ?? "";
    assert.match(text, /if eno1 fails: 52:54:00:00:00:00 goes by eno2 with 300mbit/);
    assert.equal(explainDomain("nobody", run, NO_LOADS), null);
  });
});
