import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { Meter } from "../../meter.ts";
import { itEnforces } from "../../sabotage-kit.ts";

const CONTROL_CLASS = "7570:fff1";
const FRAMES = 20;
/** To a link-local group, from an address of nobody, with what follows them up to the smallest frame's length. */
const frame = (group: string, rest: string) =>
  `0180c20000${group}520000000001${rest}`.padEnd(120, "0");
const PROTOCOLS = {
  LACP: frame("02", "8809"),
  LLDP: frame("0e", "88cc"),
  STP: frame("00", "0026424203"),
};

describe("link protocols", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  itEnforces(
    "are sent in the control class, past what guests have queued: LACP, LLDP, STP",
    { sabotage: ["control filters gone"] },
    async (strike) => {
      await buildHost();
      daemon = await startDaemon({ config: labConfig() });
      strike(daemon);
      for (const uplink of ["nic0", "nic1"]) {
        for (const [protocol, bytes] of Object.entries(PROTOCOLS)) {
          const before = readClassCounts(uplink).get(CONTROL_CLASS)?.packets ?? 0;
          await new Meter("", "frames", uplink, String(FRAMES), bytes).report();
          const after = readClassCounts(uplink).get(CONTROL_CLASS)?.packets ?? 0;
          assert.equal(after - before, FRAMES, `${protocol} by ${uplink}`);
        }
      }
    },
  );
});
