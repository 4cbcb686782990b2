// Bugs that the simulation found, each as the history that showed it. docs/testing.md tells of them.
import assert from "node:assert/strict";
import { live } from "../../simulation/simulate.ts";
import { PAUSED, PLAIN, then } from "./histories.ts";

describe("what the simulation found stays mended:", () => {
  for (const [what, seed, events] of [
    [
      "an annotation whose event was lost is read within a minute",
      1,
      [
        then(347, { kind: "start", guest: 6 }),
        then(19, { kind: "signals-lost", count: 3 }),
        then(3526, {
          kind: "annotate",
          guest: 39,
          wish: { ...PLAIN, reservationMbit: 1000, action: "pause" },
        }),
      ],
    ],
    [
      "a port that leaves the bond keeps nothing of ours",
      2,
      [then(411, { kind: "port-released", port: 7 })],
    ],
    [
      "a full disk and a resume make no endless loop",
      17,
      [
        ...PAUSED,
        then(3000, { kind: "cable-in", port: 0 }),
        then(10, { kind: "disk-full", lastsMs: 30_000 }),
        then(20_000, { kind: "nothing" }),
      ],
    ],
    [
      "an uplink whose driver knows no speed without a carrier is lost, not somebody else's",
      8,
      [...PAUSED, then(3000, { kind: "nothing" })],
    ],
    [
      "whom a person resumed isn't paused again by the next run of the daemon",
      17,
      [
        ...PAUSED,
        then(3000, { kind: "person-resumes", guest: 0 }),
        then(1000, { kind: "crash", downMs: 10 }),
        then(20_000, { kind: "nothing" }),
      ],
    ],
    [
      "a pause is no longer for a host's clock that was set back",
      17,
      [
        ...PAUSED,
        then(3000, { kind: "clock-jump", byMs: -3600e3 }),
        then(1000, { kind: "restart", downMs: 10 }),
        then(240_000, { kind: "nothing" }),
      ],
    ],
    [
      "what a program takes away again and again is left to it for a while, and mended when it gives up",
      17,
      [
        ...PAUSED,
        then(3000, { kind: "contest", at: 5, times: 30, everyMs: 1500 }),
        then(60_000, { kind: "nothing" }),
      ],
    ],
    [
      "a damaged journal in the middle of a failover leaves all as it is until somebody enables",
      17,
      [
        ...PAUSED,
        then(10, { kind: "journal-damaged", downMs: 2000 }),
        then(20, { kind: "cable-in", port: 0 }),
        then(20_000, { kind: "cable-out", port: 1 }),
        then(9000, { kind: "enable" }),
        then(9000, { kind: "release" }),
        then(9000, { kind: "journal-damaged", downMs: 10 }),
        then(90_000, { kind: "nothing" }),
        then(10, { kind: "release" }),
        then(5000, { kind: "nothing" }),
      ],
    ],
    [
      "a port that leaves the bond after a damaged journal keeps nothing of ours",
      1,
      [
        then(1018, { kind: "journal-damaged", downMs: 2000 }),
        then(14, { kind: "port-released", port: 1 }),
      ],
    ],
    [
      "the first uplink of three that returns while the daemon is dead carries no more than it can",
      5,
      [
        ...[0, 1, 2].flatMap((guest) => [
          then(10, { kind: "annotate", guest, wish: { ...PLAIN, reservationMbit: 4000 } }),
          then(300, { kind: "start", guest }),
        ]),
        ...[0, 1, 2].map((port) => then(port === 0 ? 3000 : 10, { kind: "cable-out", port })),
        then(3000, { kind: "crash", downMs: 20_000 }),
        then(1000, { kind: "cable-in", port: 1 }),
        then(3000, { kind: "nothing" }),
      ],
    ],
    [
      "after a damaged journal a port with somebody else's qdisc is known to be ours, too",
      68,
      [
        then(1120, { kind: "foreign-root", port: 3 }),
        then(324, { kind: "journal-damaged", downMs: 10 }),
        then(747, { kind: "enable" }),
        then(746, { kind: "start", guest: 19 }),
        then(406, { kind: "port-released", port: 1 }),
      ],
    ],
    [
      "a release after a damaged journal takes back the queue id of a port with somebody else's qdisc",
      86,
      [
        then(9, { kind: "foreign-root", port: 1 }),
        then(3423, { kind: "journal-damaged", downMs: 2000 }),
        then(3290, { kind: "release" }),
        then(1000, { kind: "nothing" }),
      ],
    ],
    [
      "a port that has left the bond without the daemon's being told is a witness until the next look",
      3105,
      [
        then(526, { kind: "kernel-events-lost", count: 4 }),
        then(616, { kind: "port-released", port: 6 }),
        then(8, { kind: "path-cut", port: 7, way: "both" }),
      ],
    ],
    [
      "a port that has just come into the bond, and is as dumb as the other, leaves that one in its place",
      4263,
      [
        then(16, { kind: "outside", answers: true, floods: true }),
        then(11_902, { kind: "path-cut", port: 5, way: "out" }),
        then(1571, { kind: "path-cut", port: 6, way: "out" }),
        then(3119, { kind: "port-released", port: 7 }),
        then(3164, { kind: "port-enslaved", port: 3 }),
      ],
    ],
    [
      "an upgrade in the middle of a failover keeps every promise",
      17,
      [
        ...PAUSED,
        then(10, { kind: "upgrade", downMs: 2000 }),
        then(20, { kind: "cable-in", port: 0 }),
        then(20, { kind: "cable-out", port: 1 }),
        then(20_000, { kind: "upgrade", downMs: 10 }),
        then(5000, { kind: "cable-in", port: 1 }),
      ],
    ],
  ] as const) {
    it(what, async () => {
      assert.equal((await live(seed, events)).violation, null);
    });
  }
});
