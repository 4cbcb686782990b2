import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { Meter } from "../../meter.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { until } from "../../wait.ts";

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
          const before = controlFrames(uplink);
          await new Meter("", "frames", uplink, String(FRAMES), bytes).report();
          assert.equal(controlFrames(uplink) - before, FRAMES, `${protocol} by ${uplink}`);
        }
      }
      // A bridge with spanning tree sends its own by the bond, which has no class for them.
      const sent = () => controlFrames("nic0") + controlFrames("nic1");
      const before = sent();
      await new Meter("", "frames", "bond0", String(FRAMES), PROTOCOLS.STP).report();
      assert.equal(sent() - before, FRAMES, "STP by the bond");
    },
  );

  it("are a guest's own traffic where a guest sends them", async () => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
    const guest = startGuest(1, "vm1", '<uplink:bandwidth reservation="4mbit"/>');
    await until("vm1 placed", async () => (await whereIs(daemon, guest)).classId !== "");
    const { classId, via } = await whereIs(daemon, guest);
    const counts = () => readClassCounts(via);
    const before = counts();
    // A bridge without spanning tree passes on what it would else keep to itself.
    const bytes = PROTOCOLS.STP.replace("520000000001", guest.mac.replaceAll(":", ""));
    await new Meter(guest.namespace, "frames", "eth0", String(FRAMES), bytes).report();
    const framesOf = (minor: string, now = counts()) =>
      (now.get(minor)?.packets ?? 0) - (before.get(minor)?.packets ?? 0);
    await until("frames sent", () => framesOf(classId) >= FRAMES);
    assert.equal(framesOf(CONTROL_CLASS), 0);
  });
});

function controlFrames(uplink: string): number {
  return readClassCounts(uplink).get(CONTROL_CLASS)?.packets ?? 0;
}
