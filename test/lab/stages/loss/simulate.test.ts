// Whether `simulate --fail` tells what the kernel holds after that loss: the daemon's own loop on the real kernel, its
// time and its guests' load given, over generated worlds.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { EventLog } from "../../../../src/daemon/events.ts";
import { Journal } from "../../../../src/daemon/journal.ts";
import { LinuxKernel } from "../../../../src/daemon/linux-kernel.ts";
import { ControlLoop } from "../../../../src/daemon/loop.ts";
import type { KernelPort } from "../../../../src/daemon/ports.ts";
import { Registry } from "../../../../src/daemon/registry.ts";
import { WhatIf } from "../../../../src/daemon/what-if.ts";
import { parseDomainXml } from "../../../../src/libvirt/domain-xml.ts";
import { PRIORITIES } from "../../../../src/model/policy.ts";
import type { SimulationDocument } from "../../../../src/model/simulation.ts";
import { loadAll } from "../../../../src/policy/load.ts";
import { resetToBare } from "../../bare.ts";
import { readJson, run } from "../../command.ts";
import { domainXml } from "../../daemon.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";

const WORLDS = 20;
/** So that every run sees the same worlds. */
const SEED = 20;
/** Longer than any grace time of these worlds. */
const SETTLED_MS = 60_000;
/** tc prints four digits of a rate or more. */
const ROUNDING = 0.001;

const mbit = (most: number) => fc.integer({ min: 0, max: most });

const guest = fc.record({
  priority: fc.constantFrom(...PRIORITIES),
  reservation: mbit(15),
  limitAbove: fc.option(mbit(20)),
  shares: fc.constantFrom(50, 100, 400),
  prefer: fc.constantFrom("", "nic0", "nic1"),
  action: fc.constantFrom("throttle", "discard"),
  demandBitsPerSecond: mbit(30).map((rate) => rate * 1e6),
});
type Guest = typeof guest extends fc.Arbitrary<infer T> ? T : never;

const world = fc.record({
  speeds: fc.tuple(fc.constantFrom(20, 40), fc.constantFrom(20, 40, 100)),
  host: mbit(5),
  guests: fc.array(guest, { minLength: 1, maxLength: 6 }),
  lost: fc.constantFrom(0, 1),
});

describe("simulate on the live host", () => {
  let kernel: LinuxKernel;

  before(async () => {
    await resetToBare();
    await buildHost();
    kernel = await LinuxKernel.open({
      onLink: () => undefined,
      onTrafficControl: () => undefined,
      onReacted: () => undefined,
      onOverrun: () => undefined,
      onFailed: assert.fail,
    });
  });
  after(() => kernel.close());

  it(`tells for ${WORLDS} worlds what the kernel holds after the loss, field by field`, async () => {
    let discarding = 0;
    let moved = 0;
    for (const { speeds, host, guests, lost } of fc.sample(world, {
      numRuns: WORLDS,
      seed: SEED,
    })) {
      const clock = { passedMs: 0 };
      const loop = newLoop(playing(kernel, guests, clock), clock, guests, configOf(speeds, host));
      await loop.run();
      for (let sample = 0; sample < 2; sample += 1) {
        clock.passedMs += 1000;
        loop.sample();
      }
      await loop.run();
      const answer = new WhatIf(loop).simulate([`nic${lost}`]);
      await pull(lost);
      await loop.run();
      clock.passedMs += SETTLED_MS;
      const { plan } = await loop.run();
      assert.deepEqual(loop.drift, []);
      assert.deepEqual(
        answer.vnics.map((vnic) => vnic.expectedBitsPerSecond),
        plan.vnics.map((vnic) => vnic.expectedBitsPerSecond),
      );
      assertHeld(answer, `nic${1 - lost}`);
      discarding += answer.domains.filter(({ action }) => action === "discard").length;
      moved += answer.vnics.filter(({ home, homeBeforeLoss }) => home !== homeBeforeLoss).length;
      await plug(lost);
    }
    console.log(`      ${JSON.stringify({ worlds: WORLDS, moved, discarding })}`);
    assert.ok(moved >= WORLDS / 2 && discarding >= WORLDS / 4, "the worlds are worth asking about");
  }).timeout(170_000);
});

/** Compares an answer with what tc shows of the uplink that is left. */
function assertHeld(answer: SimulationDocument, left: string): void {
  const filters = readFilters();
  const classes = readClassCounts(left);
  const leaves = readJson<{ readonly kind: string; readonly parent?: string }>(
    "tc",
    `qdisc show dev ${left}`,
  );
  const actions = new Map(answer.domains.map(({ name, action }) => [name, action]));
  assert.equal(filters.size, answer.vnics.length, "a filter for each");
  for (const vnic of answer.vnics) {
    const filter = filters.get(vnic.mac);
    assert.equal(filter?.via, vnic.home, `${vnic.mac} goes by`);
    assert.equal(vnic.classes.length, 1);
    const [told] = vnic.classes;
    const found = classes.get(filter?.classId ?? "");
    assert.ok(found !== undefined && told?.uplink === left, `${vnic.mac} has a class on ${left}`);
    assertRate(found.rateBitsPerSecond, told.reservationBitsPerSecond, `${vnic.mac}'s rate`);
    assertRate(found.ceilBitsPerSecond, told.limitBitsPerSecond, `${vnic.mac}'s ceil`);
    const leaf = leaves.find(({ parent }) => parent === filter?.classId);
    const discards = actions.get(vnic.domain) === "discard";
    assert.equal(leaf?.kind === "blackhole", discards, `${vnic.mac} has the leaf ${leaf?.kind}`);
  }
}

function assertRate(found: number, told: number, what: string): void {
  const off = Math.abs(found - told);
  assert.ok(off <= Math.max(8, told * ROUNDING), `${what} is ${found}, told was ${told}`);
}

/** Each MAC's class and the port that its frames are sent to, by the bond's filters and the ports' queue ids. */
function readFilters(): ReadonlyMap<string, { readonly classId: string; readonly via: string }> {
  interface Port {
    readonly ifname: string;
    readonly linkinfo?: { readonly info_slave_data?: { readonly queue_id?: number } };
  }
  const ports = new Map(
    readJson<Port>("ip", "-d link show").map(({ ifname, linkinfo }) => [
      linkinfo?.info_slave_data?.queue_id ?? 0,
      ifname,
    ]),
  );
  const text = run("tc", "filter", "show", "dev", "bond0", "egress", "pref", "7571");
  return new Map(
    text.split(/^filter /m).flatMap((filter) => {
      const mac = /src_mac (\S+)/.exec(filter)?.[1];
      const classId = /priority (7570:[0-9a-f]+)/.exec(filter)?.[1];
      const queue = /queue_mapping (\d+)/.exec(filter)?.[1];
      if (mac === undefined || classId === undefined || queue === undefined) return [];
      return [[mac, { classId, via: ports.get(Number(queue)) ?? "" }] as const];
    }),
  );
}

const macOf = (index: number) => `52:54:00:00:00:${(index + 1).toString(16).padStart(2, "0")}`;

function annotationOf({ priority, reservation, limitAbove, shares, prefer, action }: Guest) {
  const limit = limitAbove === null ? "" : ` limit="${reservation + limitAbove + 1}mbit"`;
  const placement = prefer === "" ? "" : `<uplink:placement prefer="${prefer}"/>`;
  return (
    `<uplink:priority>${priority}</uplink:priority>` +
    `<uplink:bandwidth reservation="${reservation}mbit" shares="${shares}"${limit}/>${placement}` +
    `<uplink:failover action="${action}" grace="5s"/>`
  );
}

function configOf(speeds: readonly number[], host: number): string {
  const uplinks = speeds.map((speed, index) => `{name: nic${index}, speed: ${speed}mbit}`);
  return `teams: [{bond: bond0, uplinks: [${uplinks.join(", ")}], holdDown: 0s, host: {reservation: ${host}mbit}}]`;
}

/** The real kernel, in which each guest sends what its world says. */
function playing(
  real: LinuxKernel,
  guests: readonly Guest[],
  clock: { readonly passedMs: number },
): KernelPort {
  return {
    readLinks: () => real.readLinks(),
    readKernel: (teams) => real.readKernel(teams),
    readCounters: () => {
      const filters = readFilters();
      return guests.flatMap(({ demandBitsPerSecond }, index) => {
        const minor = Number.parseInt(filters.get(macOf(index))?.classId.slice(5) ?? "", 16);
        const sentBytes = BigInt(Math.round((demandBitsPerSecond / 8000) * clock.passedMs));
        const counter = { device: "nic0", minor, sentBytes, sentPackets: 1n };
        return [{ ...counter, drops: 0, backlogBytes: 0, queuedPackets: 0 }];
      });
    },
    arm: () => undefined,
    apply: (steps) => real.apply(steps),
  };
}

function newLoop(
  port: KernelPort,
  clock: { readonly passedMs: number },
  guests: readonly Guest[],
  config: string,
): ControlLoop {
  const directory = mkdtempSync(join(tmpdir(), "uplinkd-simulate-"));
  writeFileSync(join(directory, "uplinkd.yaml"), config);
  const loaded = loadAll(directory);
  const registry = new Registry(loaded.config, loaded.policies);
  for (const [index, shape] of guests.entries()) {
    const name = `guest${index}`;
    const xml = domainXml({ name, macs: [macOf(index)], annotation: annotationOf(shape) });
    registry.put(parseDomainXml(xml, `domain ${name}`), "running");
  }
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const startedAtMs = Date.now();
  return new ControlLoop({
    kernel: port,
    journal: Journal.open(join(directory, "journal.json"), bootId, assert.fail),
    registry,
    log: new EventLog(Date.now, () => undefined),
    now: () => startedAtMs + clock.passedMs,
    loaded,
    observeOnly: false,
    domainsComplete: () => true,
  });
}
