/** Frames that a conversation of one small datagram a millisecond each way loses when a cable is pulled. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../test/lab/bare.ts";
import { type Daemon, startDaemon } from "../../test/lab/daemon.ts";
import { LabFault } from "../../test/lab/fault.ts";
import { type Guest, startGuest } from "../../test/lab/guests.ts";
import { activePort, buildHost, setActivePort, uplinkNames } from "../../test/lab/host.ts";
import { measurePulls, type PullsShape } from "../../test/lab/loss.ts";
import type { End } from "../../test/lab/meter.ts";
import { allAtHome, quickConfig } from "../../test/lab/stages/loss/reached.ts";
import { addStandin } from "../../test/lab/standin.ts";
import { outside } from "../../test/lab/switch.ts";
import { addVswitchPort, buildVswitch, stopVswitch, type VswitchMode } from "./openvswitch.ts";
import { atMost, type Benchmark, type Goal, median, type Result, resultOf } from "./result.ts";

const PULLS = 9;
/** Pulls of a series that may be measured once more, because a sender didn't keep its pace. */
const FAULTS = 9;
const SETTLE_MS = 400;
/** Long enough for the carrying port to show, short beside what is lost. */
const LOOK_MS = 20;

/** Frames lost by each pull, one entry a pull. */
interface Losses {
  readonly there: readonly number[];
  readonly back: readonly number[];
}

/** uplinkd and kernel bonding on one host; Open vSwitch needs a bridge of its own and follows in the same lab. */
export const pulls: Benchmark = {
  name: "pulls",
  run: async () => {
    const uplinkd = await measureUplinkd();
    const slow = await measureBonding(100);
    const fast = await measureBonding(10);
    const slb = await measureVswitch("balance-slb");
    const backup = await measureVswitch("active-backup");
    const worseWay = ({ there, back }: Losses) =>
      there.map((lost, index) => Math.max(lost, back[index] ?? 0));
    const best = Math.min(median(worseWay(slb)), median(worseWay(backup)));
    const limit = Math.min(best, median(worseWay(slow)) / 5);
    const none: Goal = {
      words: "median 0, worst 2",
      holds: (values) => median(values) === 0 && Math.max(...values) <= 2,
    };
    return [
      ...describe("uplinkd, homed off the active port", uplinkd.off, none),
      ...describe("uplinkd, homed on the active port", uplinkd.on, {
        ...atMost(limit),
        words: `at most ${limit}: Open vSwitch's best mode, a fifth of bonding's`,
      }),
      resultOf(
        "first pull after the daemon's start, on the active port",
        "frames",
        [Math.max(uplinkd.on.there[0] ?? 0, uplinkd.on.back[0] ?? 0)],
        atMost(Math.max(...worseWay(uplinkd.on).slice(1))),
      ),
      ...describe("kernel bonding, miimon 100", slow, null),
      ...describe("kernel bonding, miimon 10", fast, null),
      ...describe("Open vSwitch balance-slb", slb, null),
      ...describe("Open vSwitch active-backup", backup, null),
    ];
  },
};

async function measureUplinkd(): Promise<{ readonly off: Losses; readonly on: Losses }> {
  await resetToBare();
  await buildHost();
  await setActivePort("nic0");
  const daemon = await startDaemon({ config: quickConfig() });
  const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
  const first = startGuest(1, "first", prefer("nic0"));
  const second = startGuest(2, "second", prefer("nic1"));
  const home = () => backHome(daemon, [first, second]);
  await home();
  const on = await measure("uplinkd on the active port", first, 0, home);
  const off = await measure("uplinkd off the active port", second, 1, home);
  await daemon.kill();
  return { off, on };
}

async function backHome(daemon: Daemon, guests: readonly Guest[]): Promise<void> {
  await allAtHome(daemon, guests);
  if (activePort() !== "nic0") await setActivePort("nic0");
}

async function measureBonding(miimonMs: number): Promise<Losses> {
  await resetToBare();
  await buildHost({ miimonMs });
  const guest = addStandin({ number: 1 });
  const cable = () => uplinkNames().indexOf(activePort());
  return measure(`bonding miimon ${miimonMs}`, guest, cable);
}

async function measureVswitch(mode: VswitchMode): Promise<Losses> {
  await resetToBare();
  await buildVswitch(mode);
  try {
    const guest = addVswitchPort(1);
    // balance-slb learns which port is which from the traffic.
    await sleep(2000);
    return await measure(`Open vSwitch ${mode}`, guest, carryingCable);
  } finally {
    await stopVswitch();
  }
}

/** Each pull in a conversation of its own; one that the meter finds disturbed is repeated. */
async function measure(
  what: string,
  guest: End,
  cable: PullsShape["cable"],
  settle: () => Promise<void> = async () => undefined,
): Promise<Losses> {
  const lost: { there: number; back: number }[] = [];
  for (let faults = 0; lost.length < PULLS; ) {
    try {
      const shape = { a: guest, b: outside, cable, pulls: 1, settleMs: SETTLE_MS };
      lost.push(...(await measurePulls(shape)).pulls);
    } catch (error) {
      faults += 1;
      if (!(error instanceof LabFault) || faults > FAULTS) throw error;
      console.log(`      ${what}: once more: ${error.message}`);
    }
    await settle();
  }
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
  return [
    resultOf(`lost by a pull, ${what}, from the VM`, "frames", losses.there, goal),
    resultOf(`lost by a pull, ${what}, to the VM`, "frames", losses.back, goal),
  ];
}
