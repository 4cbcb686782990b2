import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { endGuest, startGuest } from "../../guests.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { measurePulls, median, type PullsReport, type PullsShape } from "../../loss.ts";
import { allAtHome, quickConfig } from "../../reached.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const PULLS = 5;
/** A guest goes home so often within three minutes; then it stays where it is, so as not to look like a duplicate. */
const RETURNS = 2;
/** Pulls of a series that may be measured once more. */
const FAULTS = 15;
/** Frames that may be lost on the way back while the guest itself was late, where a frame counts and where dozens do. */
const [EXACT, ROUGH] = [1, 10];

describe("pulled cables", () => {
  let daemon: Daemon;
  let started = false;

  afterEach(async () => {
    if (started) await daemon.kill();
    started = false;
  });

  /** Pulls the cable of a guest at home on `uplink`, by a guest that nobody has seen moving after every other pull. */
  async function measureAt(uplink: string, firstNumber: number, unasked: number): Promise<Losses> {
    let number = firstNumber;
    const start = () => startGuest(number, `guest${number}`, prefer(uplink));
    let guest = start();
    return await measureQuietly(
      unasked,
      () => ({ a: guest, b: outside, settleMs: 500, cable: Number(uplink.slice("nic".length)) }),
      async (pulls) => {
        await allAtHome(daemon, [guest]);
        await setActivePort("nic0");
        if (pulls % RETURNS !== 0) return;
        endGuest(guest);
        number += 1;
        guest = start();
      },
    );
  }

  it("cost a vNIC off the active port at most 1 frame, and one on it half of what bonding alone loses", async () => {
    await resetToBare();
    await buildHost();
    const standin = addStandin({ number: 1 });
    const plain = await measureQuietly(ROUGH, () => ({
      a: standin,
      b: outside,
      settleMs: 500,
      cable: activePort() === "nic0" ? 0 : 1,
    }));
    const bonding = median(plain.pulls.map(({ there, back }) => Math.max(there, back)));
    print("bonding alone, active port", plain);

    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: quickConfig() });
    started = true;
    const off = await measureAt("nic1", 11, EXACT);
    print("uplinkd, off the active port", off);
    const on = await measureAt("nic0", 31, ROUGH);
    print("uplinkd, on the active port", on);
    const answered = (await daemon.events())
      .filter(({ id }) => id === "loss-answered")
      .map(({ fields }) => fields["microseconds"]);
    console.log(`      prepared plans sent after ${answered.join(", ")} us`);

    if (bonding <= 20) throw new LabFault(`a pull costs plain bonding ${bonding} frames only`);
    for (const way of ["there", "back"] as const) {
      const offActive = median(off.pulls.map((lost) => lost[way]));
      assert.ok(offActive <= 1, `${way}: ${offActive} lost by a pull off the active port`);
      const onActive = median(on.pulls.map((lost) => lost[way]));
      assert.ok(onActive <= bonding / 2, `${way}: ${onActive} lost, bonding alone ${bonding}`);
    }
    assert.equal(off.duplicates + on.duplicates, 0, "no frame came twice");
    assert.ok(answered.length >= 10, "the prepared plan was sent at every loss");
  }).timeout(300_000);
});

/** What was lost by each pull and each plug, and frames that came twice in all. */
interface Losses extends Pick<PullsReport, "pulls" | "plugs"> {
  readonly duplicates: number;
}

/**
 * Pulls one by one, each in a conversation of its own: a machine that was busy for a moment makes a sender late and the
 * measurement worthless, and only that pull is then done once more. What was pulled is plugged in by then.
 */
async function measureQuietly(
  unaskedLimit: number,
  shape: () => PullsShape,
  settle: (pulls: number) => Promise<void> = async () => undefined,
): Promise<Losses> {
  const reports: PullsReport[] = [];
  let pulls = 0;
  for (let fault = 0; reports.length < PULLS; ) {
    pulls += 1;
    try {
      const report = await measurePulls({ ...shape(), pulls: 1 });
      const unasked = report.pulls.reduce((sum, { backUnasked }) => sum + backUnasked, 0);
      if (unasked > unaskedLimit)
        throw new LabFault(`${unasked} lost on the way back while the guest was late`);
      reports.push(report);
    } catch (error) {
      fault += 1;
      if (!(error instanceof LabFault) || fault > FAULTS) throw error;
      console.log(`      once more: ${error.message}`);
    }
    // Asking the daemon costs processor time, so not while anything is measured.
    await settle(pulls);
  }
  return {
    pulls: reports.flatMap(({ pulls }) => pulls),
    plugs: reports.flatMap(({ plugs }) => plugs),
    duplicates: reports.reduce(
      (sum, { whole }) => sum + whole.there.duplicates + whole.back.duplicates,
      0,
    ),
  };
}

function print(what: string, { pulls, plugs }: Losses): void {
  const words = (["there", "back"] as const).map((way) => {
    const lost = (moments: PullsReport["plugs"]) => moments.map((moment) => moment[way]);
    return `${way} ${lost(pulls).join(" ")} (median ${median(lost(pulls))}), at the return ${lost(plugs).join(" ")}`;
  });
  console.log(`      ${what}: ${words.join("; ")}`);
}
