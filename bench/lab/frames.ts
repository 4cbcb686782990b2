/**
 * What shaping costs a frame, and whether that grows with the number of vNICs. To be run where the processor's clock counts
 * instructions (Lab.counted): time on an emulated processor tells a frame's cost only to a third.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { diffKernel } from "../../src/diff/diff.ts";
import { FIRST_VNIC_MINOR } from "../../src/model/layout.ts";
import type { Mac } from "../../src/model/mac.ts";
import { resetToBare } from "../../test/lab/bare.ts";
import { ip, run, tc } from "../../test/lab/command.ts";
import { buildHost, uplinkNames } from "../../test/lab/host.ts";
import type { End } from "../../test/lab/meter.ts";
import { deafen } from "../../test/lab/qmp.ts";
import { addStandin, standinMac } from "../../test/lab/standin.ts";
import { outside } from "../../test/lab/switch.ts";
import { Flood } from "../../test/lab/traffic.ts";
import { macOf } from "../../test/unit/world.ts";
import { atLeast, type Benchmark, ratios, resultOf } from "../result.ts";
import { clearKernel, type FleetShape, fleetPlan } from "./fleet.ts";
import { refuseNone, withKernel } from "./open-kernel.ts";
import {
  addVswitchPort,
  addVswitchQueues,
  buildVswitch,
  learnVswitchMac,
  stopVswitch,
} from "./openvswitch.ts";

const SIZES = [1, 100, 1000, 4000] as const;
const ROUNDS = 5;
const FLOOD_MS = 300;
/** Of the counted clock: one takes 1 ns. */
const INSTRUCTIONS_PER_SECOND = 1e9;
/** The smallest frame: the cost of bytes is none of this. */
const FRAME_BYTES = 60;
/** Where the frames go. */
const NOBODY = "52:54:99:00:00:01";
/** More than the processor can send, so that it is what limits. */
const FLOOD_BITS_PER_SECOND = 1e9;

/** The flooding vNIC stays within its own rate; the others share what is left. */
const wish: NonNullable<FleetShape["wish"]> = (index) =>
  index === 0 ? { bandwidth: { reservationBitsPerSecond: 1e9 } } : {};

export const frames: Benchmark = {
  name: "frames",
  run: async () => {
    await resetToBare();
    await buildHost();
    const guest = addStandin({ number: 1, mac: macOf(0) as Mac });
    await sendToNobody(guest);
    run("bridge", "fdb", "replace", NOBODY, "dev", "bond0", "master", "static");
    const plain: number[] = [];
    const unfiltered: number[] = [];
    const byHand: number[] = [];
    const plainByHand: number[] = [];
    const policed: number[] = [];
    const shaped = new Map<number, number[]>(SIZES.map((size) => [size, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      clearKernel();
      plain.push(await measure("plain bonding", guest));
      limitAsLibvirt(guest.tap, true);
      policed.push(await measure("bonding with libvirt's bandwidth", guest));
      limitAsLibvirt(guest.tap, false);
      for (const vnics of SIZES) {
        clearKernel();
        await install(vnics);
        shaped.get(vnics)?.push(await measure(`${vnics} vNICs`, guest));
      }
      clearKernel();
      await install(1);
      tc(["bond0", ...uplinkNames()].map((device) => `qdisc del dev ${device} clsact`));
      unfiltered.push(await measure("HTB and fq_codel, no filter", guest));
      // The least that tells guests apart by their addresses and names class and port.
      const own = `7570:${FIRST_VNIC_MINOR.toString(16)}`;
      tc([
        "qdisc add dev bond0 clsact",
        `filter add dev bond0 egress protocol all pref 1 flower skip_hw src_mac ${guest.mac} action skbedit priority ${own} queue_mapping 1`,
      ]);
      byHand.push(await measure("HTB and fq_codel, one filter by hand", guest));
      tc(uplinkNames().map((device) => `qdisc replace dev ${device} parent ${own} pfifo`));
      plainByHand.push(await measure("HTB and plain queues, one filter by hand", guest));
      tc(["qdisc del dev bond0 clsact"]);
    }
    const of = (vnics: number) => shaped.get(vnics) ?? [];
    return [
      resultOf("frames sent, plain bonding", "frames/s", plain),
      resultOf("frames sent, bonding with libvirt's bandwidth", "frames/s", policed),
      resultOf("frames sent, 1 vNIC without our filters", "frames/s", unfiltered),
      resultOf("frames sent, 1 vNIC with one filter by hand", "frames/s", byHand),
      resultOf("frames sent, 1 vNIC with one filter by hand, plain queue", "frames/s", plainByHand),
      ...SIZES.map((vnics) => resultOf(`frames sent, ${vnics} vNICs`, "frames/s", of(vnics))),
      ...[
        { of: "plain bonding", rates: plain },
        { of: "1 vNIC without our filters", rates: unfiltered },
        { of: "1 vNIC with one filter by hand", rates: byHand },
        { of: "1 vNIC with one filter by hand, plain queue", rates: plainByHand },
        { of: "1 vNIC", rates: of(1) },
      ].map(({ of: what, rates }) =>
        resultOf(
          `a frame, ${what}`,
          "instructions",
          rates.map((rate) => INSTRUCTIONS_PER_SECOND / rate),
        ),
      ),
      resultOf("frames sent, 4000 vNICs / 1 vNIC", "ratio", ratios(of(4000), of(1)), atLeast(0.95)),
      resultOf("frames sent, 1 vNIC / plain bonding", "ratio", ratios(of(1), plain), atLeast(0.85)),
      resultOf(
        "frames sent, 1 vNIC with one filter by hand / plain bonding",
        "ratio",
        ratios(byHand, plain),
      ),
      resultOf(
        "frames sent, 1 vNIC with one filter by hand, plain queue / plain bonding",
        "ratio",
        ratios(plainByHand, plain),
      ),
      resultOf("frames sent, 1 vNIC / one filter by hand", "ratio", ratios(of(1), byHand)),
      resultOf(
        "frames sent, 1 vNIC without our filters / plain bonding",
        "ratio",
        ratios(unfiltered, plain),
      ),
      resultOf(
        "frames sent, 4000 vNICs / plain bonding",
        "ratio",
        ratios(of(4000), plain),
        atLeast(0.85),
      ),
    ];
  },
};

/** Open vSwitch without queues, and with as many queues as we have classes. */
export const vswitchFrames: Benchmark = {
  name: "frames-vswitch",
  run: async () => {
    await resetToBare();
    await buildVswitch("active-backup");
    try {
      const guest = addVswitchPort(1);
      await sendToNobody(guest);
      learnVswitchMac(NOBODY, uplinkNames()[0] ?? "");
      const measureRounds = async (what: string) => {
        const rates: number[] = [];
        for (let round = 0; round < ROUNDS; round += 1) rates.push(await measure(what, guest));
        return rates;
      };
      const plain = await measureRounds("Open vSwitch");
      const queued = new Map<number, readonly number[]>();
      for (const vnics of SIZES) {
        const macs = [
          standinMac(1),
          ...Array.from({ length: vnics - 1 }, (_, index) => macOf(index)),
        ];
        addVswitchQueues(macs, 10e9);
        await sleep(2000);
        queued.set(vnics, await measureRounds(`Open vSwitch, ${vnics} queues`));
      }
      return [
        resultOf("frames sent, Open vSwitch", "frames/s", plain),
        ...[...queued].map(([vnics, rates]) =>
          resultOf(`frames sent, Open vSwitch with ${vnics} queues`, "frames/s", rates),
        ),
      ];
    } finally {
      await stopVswitch();
    }
  },
};

/** What libvirt's <bandwidth><outbound> makes of a tap (virNetDevBandwidthSet): a policer on what the guest sends. */
function limitAsLibvirt(tap: string, on: boolean): void {
  if (!on) {
    tc([`qdisc del dev ${tap} ingress`]);
    return;
  }
  tc([
    `qdisc add dev ${tap} ingress`,
    `filter add dev ${tap} parent ffff: protocol all u32 match u32 0 0 police rate 1250000kbps burst 10000kb mtu 64kb drop flowid :1`,
  ]);
}

async function install(vnics: number): Promise<void> {
  await withKernel(async (kernel) => {
    const { kernel: wanted } = fleetPlan(kernel.readLinks(), { vnics, wish });
    refuseNone(await kernel.apply(diffKernel(new Map(), wanted)));
  });
  // Freed memory and the notifications of so many objects are dealt with behind our back.
  await sleep(500);
}

/** Has the guest send to an address that no switch's port hears: receiving is none of what is counted. */
async function sendToNobody({ namespace }: End): Promise<void> {
  for (const [cable] of uplinkNames().entries()) await deafen(cable);
  ip([`neigh replace ${outside.ipv4} lladdr ${NOBODY} dev eth0 nud permanent`], namespace);
}

/** Frames a second that leave the uplinks. */
async function measure(what: string, from: End): Promise<number> {
  const flood = new Flood({
    from,
    to: outside,
    bitsPerSecond: FLOOD_BITS_PER_SECOND,
    frameBytes: FRAME_BYTES,
  });
  // Its start is none of the measurement.
  await sleep(300);
  const [startMs, before] = [performance.now(), sentFrames()];
  await sleep(FLOOD_MS);
  const [endMs, after] = [performance.now(), sentFrames()];
  const rate = ((after - before) * 1000) / (endMs - startMs);
  await flood.stop();
  console.log(`      ${what}: ${Math.round(rate)} frames/s`);
  return rate;
}

function sentFrames(): number {
  const counts = uplinkNames().map((name) =>
    Number(readFileSync(`/sys/class/net/${name}/statistics/tx_packets`, "latin1")),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
