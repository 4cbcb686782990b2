import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import {
  assertHeld,
  assertSettled,
  assertUntouched,
  countMoves,
  type Frame,
  frameConfig,
  type GeneratedGuest,
  generateGuests,
  type Homes,
  readVias,
  simulated,
  startWhole,
  teamIs,
  untilMeasured,
} from "../../generated.ts";
import { buildHost } from "../../host.ts";
import { plug, pull, setLink } from "../../qmp.ts";
import { until } from "../../wait.ts";

/** Of unequal speed, so that where something goes makes a difference. */
const SPEEDS = [40, 20, 30, 50];
const HOST = 1;
/** Longer than the spans that it has to outlast here. */
const HOLD_DOWN_MS = 3000;
const named = (cables: readonly number[]) => cables.map((cable) => `nic${cable}`);

describe("a team of several uplinks", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.kill());

  async function install(frame: Frame, guests: readonly GeneratedGuest[]): Promise<Homes> {
    await buildHost({ uplinks: frame.speeds.map((_, index) => `nic${index}`) });
    const policies = { default: "priority: normal\n" };
    daemon = await startDaemon({ config: frameConfig(frame), policies });
    return startWhole(frame, guests);
  }

  // Of two, twenty worlds are compared in the stage reach.
  for (const [world, count, lost] of [
    [42, 3, [0]],
    [43, 4, [3, 0]],
  ] as const) {
    const title = `claim 10: holds what simulate says after the loss of ${lost.length} of ${count}, one after the other, and once all are back`;
    it(title, async () => {
      const frame = { speeds: SPEEDS.slice(0, count), host: HOST };
      const silent = { ...frame, demand: 0 };
      const guests = [
        ...generateGuests(world, frame, ["throttle"]),
        ...generateGuests(world + 100, frame, ["throttle"]),
      ];
      const homes = await install(frame, guests);
      await untilMeasured(daemon);
      const moved = new Map<string, number>();
      for (const [index, cable] of lost.entries()) {
        const vias = readVias();
        const midway = { gone: named(lost.slice(0, index)), vias };
        const answer = simulated(silent, guests, homes, named([cable]), midway);
        await pull(cable);
        await assertHeld(guests, answer, `without ${named(lost.slice(0, index + 1)).join(", ")}`);
        countMoves(moved, vias);
      }
      const before = readVias();
      for (const cable of lost) await plug(cable);
      await teamIs(daemon, "ok");
      await assertHeld(guests, simulated(silent, guests, homes, []), "all back");
      countMoves(moved, before);
      console.log(`      ${guests.length} guests, moves of each: ${[...moved.values()].join(" ")}`);
      await assertUntouched(daemon);
      // A loss each at most, and the way home, which may go by another uplink that came back earlier.
      for (const [mac, moves] of moved)
        assert.ok(moves <= lost.length + 2, `${mac}: ${moves} moves`);
    });
  }

  it("claim 10: ends as planned for the final world after a loss during recovery", async () => {
    const frame: Frame = { speeds: SPEEDS.slice(0, 3), host: HOST, holdDownMs: HOLD_DOWN_MS };
    const guests = generateGuests(51, frame, ["throttle"]);
    const homes = await install(frame, guests);
    await pull(1);
    await assertHeld(guests, simulated(frame, guests, homes, ["nic1"]), "without nic1");
    await plug(1);
    // It has its carrier, and is still kept out.
    await pull(0);
    await until("nic1 back in service", () => isUsable("nic1"), 20_000);
    await assertSettled(frame, guests, homes, ["nic0"], "nic1 back while nic0 is lost");
    await plug(0);
    await teamIs(daemon, "ok");
    await assertSettled(frame, guests, homes, [], "both back");
    await assertUntouched(daemon);
  });

  it("claim 10: ends as planned for the final world once all were lost and are back; nothing is done to anybody", async () => {
    const frame: Frame = { speeds: SPEEDS.slice(0, 3), host: HOST };
    const guests = generateGuests(54, frame, ["throttle", "pause", "discard"]);
    const homes = await install(frame, guests);
    for (const cable of [0, 1, 2]) await pull(cable);
    await teamIs(daemon, "isolated");
    await assertUntouched(daemon);
    for (const cable of [2, 1, 0]) await plug(cable);
    await teamIs(daemon, "ok");
    await assertSettled(frame, guests, homes, [], "all back");
    await assertUntouched(daemon);
  });

  it("claim 10: ends as planned for the final world after flaps that nobody waits for", async () => {
    const frame = { speeds: SPEEDS.slice(0, 3), host: HOST, holdDownMs: HOLD_DOWN_MS };
    const guests = generateGuests(52, frame, ["throttle"]);
    const homes = await install(frame, guests);
    for (let flap = 0; flap < 5; flap++) {
      await setLink(0, false);
      await sleep(flap * 40);
      await setLink(0, true);
      await sleep(300);
    }
    // In between it was kept out, longer each time.
    await teamIs(daemon, "ok");
    await assertSettled(frame, guests, homes, [], "after the flaps");
    const { domains } = await daemon.status();
    const moves = domains.flatMap(({ vnics }) => vnics.map(({ recentMoves }) => recentMoves));
    console.log(`      moves of each: ${moves.join(" ")}`);
    for (const count of moves) assert.ok(count <= 4, `${count} moves`);
  });

  async function isUsable(name: string): Promise<boolean> {
    const { teams } = await daemon.status();
    return teams[0]?.uplinks.find((uplink) => uplink.name === name)?.usable === true;
  }
});
