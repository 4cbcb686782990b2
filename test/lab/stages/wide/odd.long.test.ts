// Losses that are no cable pulled once: an uplink that becomes slower, one that is back and forwards nothing.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import {
  assertHeld,
  assertUntouched,
  countMoves,
  type Frame,
  frameConfig,
  type GeneratedGuest,
  generateGuests,
  type Homes,
  readVias,
  simulated,
  teamIs,
} from "../../generated.ts";
import { buildHost, setSpeed } from "../../host.ts";
import { Conversation, type Direction, lostBetween } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { addStandin } from "../../standin.ts";
import { forwardAgain, outside, stopForwarding } from "../../switch.ts";
import { until } from "../../wait.ts";

const SPEEDS = [40, 20, 30];
/** What nic0 has left after its speed dropped. */
const SLOW = 10;
const HOST = 1;
/** The daemon reads speeds anew every 10 s: no event tells of one that changes while the link stays. */
const RESYNC_MS = 20_000;
const INTERVAL_US = 4000;

describe("a team of several uplinks, of which one", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.kill());

  async function install(
    guests: readonly GeneratedGuest[],
    frame: Frame,
    config = frameConfig(frame),
  ): Promise<Homes> {
    daemon = await startDaemon({ config, policies: { default: "priority: normal\n" } });
    for (const { domain } of guests) startDomain(domain);
    const homes = readVias();
    await assertHeld(guests, simulated(frame, guests, homes, []), "whole");
    return homes;
  }

  for (const how of ["in the configuration", "by its driver"]) {
    it(`claim 10: becomes slower ${how}, ends as planned for the final world, and for the one before once it is back`, async () => {
      await buildTeam();
      const whole = { speeds: SPEEDS, host: HOST };
      const slower = { speeds: SPEEDS.with(0, SLOW), host: HOST };
      const guests = [
        ...generateGuests(61, whole, ["throttle"]),
        ...generateGuests(62, whole, ["pause"]),
      ];
      const stated = how === "in the configuration";
      if (!stated) for (const [cable, speed] of SPEEDS.entries()) setSpeed(`nic${cable}`, speed);
      const config = (frame: Frame) =>
        stated ? frameConfig(frame) : frameConfig(frame).replaceAll(/, speed: \d+mbit/g, "");
      const homes = await install(guests, whole, config(whole));
      const moved = new Map<string, number>();
      const change = async (frame: Frame) => {
        const before = readVias();
        if (stated) daemon.reconfigure(config(frame));
        else setSpeed("nic0", frame.speeds[0] ?? 0);
        await assertHeld(
          guests,
          simulated(frame, guests, homes, []),
          String(frame.speeds),
          RESYNC_MS,
        );
        countMoves(moved, before);
      };
      await change(slower);
      await assertUntouched(daemon);
      await change(whole);
      await assertUntouched(daemon);
      if (!stated) {
        // A real port that agrees on another speed loses its carrier meanwhile.
        await pull(0);
        setSpeed("nic0", SLOW);
        await plug(0);
        await teamIs(daemon, "ok");
        await assertHeld(guests, simulated(slower, guests, homes, []), "agreed anew", RESYNC_MS);
      }
      console.log(`      ${guests.length} guests, moves of each: ${[...moved.values()].join(" ")}`);
      for (const [mac, moves] of moved) assert.ok(moves <= 2, `${mac}: ${moves} moves`);
    }).timeout(240_000);
  }

  it("claim 10: has its carrier back and doesn't forward yet is used after its hold-down only; without one the guest loses what it sends", async () => {
    await buildTeam();
    const frame = { speeds: SPEEDS, host: HOST, holdDownMs: 8000 };
    const guests = generateGuests(80, frame, ["throttle"]);
    const homes = await install(guests, frame);
    const [away] = guests.filter(({ mac }) => homes.get(mac) === "nic0");
    assert.ok(away !== undefined, "somebody is at home on nic0");
    const standin = addStandin({ number: 1, mac: away.mac });
    const comeBack = async () => {
      const talk = await Conversation.start({
        a: standin,
        b: outside,
        intervalMicroseconds: INTERVAL_US,
      });
      await sleep(1000);
      await pull(0);
      await sleep(1000);
      stopForwarding(0);
      const backMs = talk.nowMs();
      await plug(0);
      await sleep(5000);
      const forwardsMs = talk.nowMs();
      assert.equal(readVias().get(away.mac) === "nic0", frame.holdDownMs === 0);
      forwardAgain(0);
      await teamIs(daemon, "ok");
      await assertHeld(guests, simulated(frame, guests, homes, []), "home again");
      await sleep(1000);
      const { there, back } = await talk.finish(Number.POSITIVE_INFINITY);
      const sent = Math.round(((forwardsMs - backMs) * 1000) / INTERVAL_US);
      const lost = (way: Direction) => lostBetween(way, backMs, Number.POSITIVE_INFINITY);
      const lossless = { sent, there: lost(there), back: lost(back) };
      console.log(`      hold-down ${frame.holdDownMs} ms: ${JSON.stringify(lossless)}`);
      return lossless;
    };
    const held = await comeBack();
    assert.ok(held.there <= 3 && held.back <= 3, JSON.stringify(held));
    frame.holdDownMs = 0;
    daemon.reconfigure(frameConfig(frame));
    await until("the configuration read", () => daemon.log().includes("<5>reloaded:"));
    const rash = await comeBack();
    assert.ok(rash.there >= rash.sent / 2, `the port did forward: ${JSON.stringify(rash)}`);
    await assertUntouched(daemon);
  }).timeout(240_000);

  async function buildTeam(): Promise<void> {
    await buildHost({ uplinks: SPEEDS.map((_, index) => `nic${index}`) });
  }
});
