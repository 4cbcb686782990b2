import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { resetToBare } from "../../bare.ts";
import { callHook, type Daemon, startDaemon, stopDomains } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import {
  assertHeld,
  expectHeld,
  type Frame,
  frameConfig,
  type GeneratedGuest,
  generateGuests,
  readPins,
  simulated,
  teamIs,
} from "../../generated.ts";
import { buildHost } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { until } from "../../wait.ts";

const FRAMES: readonly Frame[] = [
  { speeds: [40, 40], host: 1 },
  { speeds: [20, 50], host: 2 },
  { speeds: [100, 30], host: 0.5 },
  { speeds: [1000, 10_000], host: 10 },
];
const WORLDS_A_FRAME = 5;
const WORLDS = FRAMES.length * WORLDS_A_FRAME;
/** Actions that change what stands in the kernel at once, or never; a pause needs a libvirt. */
const ACTIONS = ["throttle", "throttle", "discard"];

describe("what simulate answers for a loss", () => {
  let daemon: Daemon;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({
      config: frameConfig(FRAMES[0] as Frame),
      policies: { default: "priority: normal\n" },
    });
  });
  afterEach(() => daemon.kill());

  it(`is what the kernel holds before and after it, in ${WORLDS} generated worlds, field by field`, async () => {
    let guestCount = 0;
    let cut = 0;
    let configured = -1;
    for (let count = 0; count < WORLDS; count += 1) {
      const place = Math.floor(count / WORLDS_A_FRAME);
      const world = (place + 1) * WORLDS_A_FRAME - (count % WORLDS_A_FRAME);
      const frame = FRAMES[place] as Frame;
      if (place !== configured) await configure(frame);
      configured = place;
      const guests = generateGuests(world, frame, ACTIONS);
      for (const { domain } of guests) callHook("start", "begin", domain);
      const homes = new Map([...readPins()].map(([mac, { uplink }]) => [mac, uplink ?? ""]));
      const answer = (failed: readonly string[]) => simulated(frame, guests, homes, failed);
      await assertHeld(guests, answer([]), `world ${world}, whole`);
      const cable = world % 2;
      const lost = `nic${cable}`;
      const after = answer([lost]);
      const live = await daemon.simulate([lost]);
      if (!isDeepStrictEqual(expectHeld(live), expectHeld(after)) && (await isMeasured()))
        throw new LabFault(`so slow that world ${world}'s guests were found to want nothing`);
      assert.deepEqual(expectHeld(live), expectHeld(after), `world ${world}: asked live`);
      await pull(cable);
      await assertHeld(guests, after, `world ${world} without ${lost}`);
      guestCount += guests.length;
      cut += after.vnics.filter((vnic) => vnic.unmetReservationBitsPerSecond > 0).length;
      await plug(cable);
      await teamIs(daemon, "ok");
      await allEnded(guests);
    }
    console.log(`      ${WORLDS} worlds, ${guestCount} guests, ${cut} with less than was reserved`);
    assert.ok(cut >= WORLDS / 4, `worlds in which nothing is cut say little: ${cut}`);
  }).timeout(240_000);

  /** Who isn't measured yet wants all that he may have, as in the scenario; nobody sends here. */
  async function isMeasured(): Promise<boolean> {
    const { domains } = await daemon.status();
    return domains.some(({ vnics }) =>
      vnics.some(({ demandBitsPerSecond }) => demandBitsPerSecond !== null),
    );
  }

  /** A hook that a busy lab keeps waiting for 2 s goes on without the daemon, as it should: then it is told again. */
  async function allEnded(guests: readonly GeneratedGuest[]): Promise<void> {
    await until("the domains' end", async () => {
      const left = new Set((await daemon.status()).domains.map(({ name }) => name));
      if (left.size === 0) return true;
      await stopDomains(guests.flatMap(({ domain }) => (left.has(domain.name) ? domain : [])));
      return false;
    });
  }

  async function configure(frame: Frame): Promise<void> {
    daemon.reconfigure(frameConfig(frame));
    await until("the uplinks' speeds", async () => {
      const { teams } = await daemon.status();
      const speeds = teams[0]?.uplinks.map(({ speedBitsPerSecond }) => speedBitsPerSecond);
      return speeds?.join() === frame.speeds.map((speed) => speed * 1e6).join();
    });
  }
});
