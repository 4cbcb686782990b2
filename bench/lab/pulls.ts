/** Frames that a conversation of one small datagram a millisecond each way loses when a cable is pulled. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../test/lab/bare.ts";
import { type Daemon, startDaemon } from "../../test/lab/daemon.ts";
import { LabFault } from "../../test/lab/fault.ts";
import { endGuest, startGuest } from "../../test/lab/guests.ts";
import { activePort, buildHost, setActivePort, uplinkNames } from "../../test/lab/host.ts";
import { measurePulls, type PullsShape } from "../../test/lab/loss.ts";
import type { End } from "../../test/lab/meter.ts";
import { quickConfig } from "../../test/lab/reached.ts";
import { addStandin } from "../../test/lab/standin.ts";
import { bundle, outside } from "../../test/lab/switch.ts";
import { until } from "../../test/lab/wait.ts";
import { atMost, type Benchmark, type Goal, median, type Result, resultOf } from "../result.ts";
import { addVswitchPort, buildVswitch, stopVswitch, type VswitchMode } from "./openvswitch.ts";

const PULLS = 9;
/** A series of which many pulls have to be repeated, on a busy machine, ends after this with what it has. */
const SERIES_MS = 90_000;
const SETTLE_MS = 400;
/** Long enough for the carrying port to show, short beside what is lost. */
const LOOK_MS = 20;

/** Frames lost by each pull, one entry a pull. */
interface Losses {
  readonly there: readonly number[];
  readonly back: readonly number[];
}

/** What the benchmarks of this lab have measured so far: those of uplinkd are compared with all that follow. */
const measured = new Map<string, readonly number[]>();

/** A pull, by whom it is noticed, and what has to be done before the next one. */
interface Turn {
  readonly guest: End;
  readonly cable: PullsShape["cable"];
  readonly after: () => Promise<void>;
}

/** uplinkd and kernel bonding. */
export const pulls: Benchmark = {
  name: "pulls",
  run: async () => {
    const { off, on } = await measureUplinkd();
    const spread = await measureRoundRobin();
    const slow = await measureBonding(100);
    const fast = await measureBonding(10);
    measured.set("uplinkd", worseWay(on));
    const [first, ...later] = worseWay(on);
    const none: Goal = {
      words: "median 0, worst 2",
      holds: (values) => median(values) === 0 && Math.max(...values) <= 2,
    };
    return [
      ...describe("uplinkd, homed off the active port", off, none),
      ...describe("uplinkd, balance-rr", spread, none),
      ...describe("uplinkd, homed on the active port", on, null),
      ...(first === undefined ? [] : [describeFirst(first, later)]),
      ...describe("kernel bonding, miimon 100", slow, null),
      ...describe("kernel bonding, miimon 10", fast, null),
      ...against("kernel bonding at miimon 100", worseWay(on), worseWay(slow), 0.2),
    ];
  },
};

/** Open vSwitch, in the same lab. */
export const vswitchPulls: Benchmark = {
  name: "pulls-vswitch",
  run: async () => {
    const slb = await measureVswitch("balance-slb");
    const backup = await measureVswitch("active-backup");
    const ways = [worseWay(slb), worseWay(backup)].filter((losses) => losses.length > 0);
    const [best = []] = ways.sort((a, b) => median(a) - median(b));
    return [
      ...describe("Open vSwitch balance-slb", slb, null),
      ...describe("Open vSwitch active-backup", backup, null),
      ...against("Open vSwitch's better mode", measured.get("uplinkd") ?? [], best, 1),
    ];
  },
};

/** The way that lost more, for each pull. */
function worseWay({ there, back }: Losses): readonly number[] {
  return there.map((lost, index) => Math.max(lost, back[index] ?? 0));
}

/** Medians of the worse way, since pulls of different series don't belong together. */
function against(
  other: string,
  uplinkd: readonly number[],
  others: readonly number[],
  limit: number,
): readonly Result[] {
  if (uplinkd.length === 0 || others.length === 0) return [];
  const what = `lost by a pull, uplinkd homed on the active port / ${other}`;
  return [resultOf(what, "ratio", [median(uplinkd) / median(others)], atMost(limit))];
}

function describeFirst(first: number, later: readonly number[]): Result {
  const most: Goal = { ...atMost(Math.max(...later)), words: "the others' most" };
  const what = "lost by the first pull after the daemon's start, homed on the active port";
  return resultOf(what, "frames", [first], later.length === 0 ? null : most);
}

async function measureUplinkd(): Promise<{ readonly off: Losses; readonly on: Losses }> {
  await resetToBare();
  await buildHost();
  await setActivePort("nic0");
  const daemon = await startDaemon({ config: quickConfig() });
  const settle = async () => {
    await untilWhole(daemon);
    if (activePort() !== "nic0") await setActivePort("nic0");
  };
  const on = await measure("uplinkd on the active port", turns(0, settle));
  const off = await measure("uplinkd off the active port", turns(1, settle));
  await daemon.kill();
  return { off, on };
}

/** Every port sends, each vNIC by its own; the switch bundles them. */
async function measureRoundRobin(): Promise<Losses> {
  await resetToBare();
  bundle("balance-xor");
  await buildHost({ mode: "balance-rr" });
  const daemon = await startDaemon({ config: quickConfig() });
  const losses = await measure(
    "uplinkd balance-rr",
    turns(1, () => untilWhole(daemon)),
  );
  await daemon.kill();
  return losses;
}

let guests = 0;

/**
 * A guest of its own for each pull, homed where the cable is pulled: after two returns within three minutes a vNIC
 * stays away from its home for a while.
 */
function turns(cable: number, settle: () => Promise<void>): () => Promise<Turn> {
  return async () => {
    guests += 1;
    const wish = `<uplink:placement prefer="${uplinkNames()[cable]}"/>`;
    const guest = startGuest(guests, `pulled${guests}`, wish);
    const after = async () => {
      endGuest(guest);
      await settle();
    };
    return { guest, cable, after };
  };
}

async function untilWhole(daemon: Daemon): Promise<void> {
  await until(
    "a team that is whole",
    async () => {
      // Asked without a pause the daemon has no time for anything else under TCG.
      await sleep(200);
      const { teams } = await daemon.status();
      return teams.every(({ condition }) => condition === "ok");
    },
    30_000,
  );
}

/** The same stand-in for every pull: nobody counts its moves. */
function always(guest: End, cable: PullsShape["cable"]): () => Promise<Turn> {
  return async () => ({ guest, cable, after: async () => undefined });
}

async function measureBonding(miimonMs: number): Promise<Losses> {
  await resetToBare();
  await buildHost({ miimonMs });
  const guest = addStandin({ number: 1 });
  const cable = () => uplinkNames().indexOf(activePort());
  return measure(`bonding miimon ${miimonMs}`, always(guest, cable));
}

async function measureVswitch(mode: VswitchMode): Promise<Losses> {
  await resetToBare();
  await buildVswitch(mode);
  try {
    const guest = addVswitchPort(1);
    // balance-slb learns which port is which from the traffic.
    await sleep(2000);
    return await measure(`Open vSwitch ${mode}`, always(guest, carryingCable));
  } finally {
    await stopVswitch();
  }
}

/** Each pull in a conversation of its own; one that the meter finds disturbed is repeated. */
async function measure(what: string, next: () => Promise<Turn>): Promise<Losses> {
  const lost: { there: number; back: number }[] = [];
  const endMs = performance.now() + SERIES_MS;
  while (lost.length < PULLS && performance.now() < endMs) {
    const { guest, cable, after } = await next();
    try {
      const shape = { a: guest, b: outside, cable, pulls: 1, settleMs: SETTLE_MS };
      lost.push(...(await measurePulls(shape)).pulls);
    } catch (error) {
      if (!(error instanceof LabFault)) throw error;
      console.log(`      ${what}: once more: ${error.message}`);
    }
    await after();
  }
  // The others may fare better: this one has no rows then.
  if (lost.length === 0) console.log(`      ${what}: no pull was undisturbed`);
  const losses = { there: lost.map(({ there }) => there), back: lost.map(({ back }) => back) };
  console.log(`      ${what}: there ${losses.there.join(" ")}, back ${losses.back.join(" ")}`);
  return losses;
}

/** The cable that most frames leave by. */
function carryingCable(): number {
  const sent = () =>
    uplinkNames().map((name) =>
      Number(readFileSync(`/sys/class/net/${name}/statistics/tx_packets`, "latin1")),
    );
  const before = sent();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
  const more = sent().map((count, index) => count - (before[index] ?? 0));
  return more.indexOf(Math.max(...more));
}

function describe(what: string, losses: Losses, goal: Goal | null): readonly Result[] {
  if (losses.there.length === 0) return [];
  const few = losses.there.length < PULLS ? ` (${losses.there.length} pulls only)` : "";
  return [
    resultOf(`lost by a pull, ${what}, from the VM${few}`, "frames", losses.there, goal),
    resultOf(`lost by a pull, ${what}, to the VM${few}`, "frames", losses.back, goal),
  ];
}
