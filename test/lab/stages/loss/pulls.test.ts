import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { measurePulls, median, type PullsReport, type PullsShape } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, leavesBy, quickConfig } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const PULLS = 5;
/** A guest goes home so often within three minutes; then it stays where it is, so as not to look like a duplicate. */
const RETURNS = 2;
/** Pulls of a series that may be measured once more. */
const FAULTS = 15;

describe("pulled cables", () => {
  let daemon: Daemon;
  let started = false;
  /** At home on the active port. */
  let first: Guest;
  /** At home on the other. */
  let second: Guest;
  let guests: readonly Guest[];

  afterEach(async () => {
    if (started) await daemon.kill();
    started = false;
  });

  async function install(): Promise<void> {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: quickConfig() });
    started = true;
    first = startGuest(1, "first", prefer("nic0"));
    second = startGuest(2, "second", prefer("nic1"));
    guests = [first, second];
  }

  /** Microseconds after which each prepared plan was sent. */
  async function readAnswered(): Promise<unknown[]> {
    const events = await daemon.events();
    return events
      .filter(({ id }) => id === "loss-answered")
      .map(({ fields }) => fields["microseconds"]);
  }

  /** Another daemon, which doesn't know how often guests have moved. @returns what the one before answered */
  async function renewDaemon(): Promise<unknown[]> {
    const answered = await readAnswered();
    await daemon.kill();
    daemon = await startDaemon({ config: quickConfig(), keepState: true });
    // What libvirt would tell it.
    for (const { domain } of guests) startDomain(domain);
    await allAtHome(daemon, guests);
    return answered;
  }

  it("cost a vNIC off the active port at most 1 frame, and one on it half of what bonding alone loses", async () => {
    await resetToBare();
    await buildHost();
    const plain = await measureQuietly({
      a: addStandin({ number: 1 }),
      b: outside,
      settleMs: 500,
      cable: () => (activePort() === "nic0" ? 0 : 1),
    });
    const bonding = median(plain.pulls.map(({ there, back }) => Math.max(there, back)));
    print("bonding alone, active port", plain);

    await install();
    const answered: unknown[] = [];
    const home = async (pulls: number) => {
      await allAtHome(daemon, guests);
      if (pulls % RETURNS === 0) answered.push(...(await renewDaemon()));
    };
    const off = await measureQuietly({ a: second, b: outside, settleMs: 500, cable: 1 }, home);
    print("uplinkd, off the active port", off);
    const on = await measureQuietly(
      { a: first, b: outside, settleMs: 500, cable: 0 },
      async (pulls) => {
        await home(pulls);
        await setActivePort("nic0");
      },
    );
    print("uplinkd, on the active port", on);
    answered.push(...(await readAnswered()));
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

  itEnforces(
    "claim 8: VM 1 by NIC 1 and VM 2 by NIC 2, each by the other's while its own is away, and home again",
    {
      sabotage: ["pins gone", "queue ids gone", "standby classes gone", "vNIC filters gone"],
      timeoutMs: 180_000,
    },
    async (strike) => {
      await install();
      const classIds = [
        (await whereIs(daemon, first)).classId,
        (await whereIs(daemon, second)).classId,
      ];
      const ways = () =>
        guests.map((guest, index) => leavesBy(guest.namespace, classIds[index] ?? ""));
      const homes = ["nic0", "nic1"];
      assert.deepEqual(ways(), homes, "at home");
      for (const cable of [1, 0]) {
        const other = `nic${1 - cable}`;
        await pull(cable);
        assert.deepEqual(ways(), [other, other], `nic${cable} away`);
        await plug(cable);
        await allAtHome(daemon, guests);
        assert.deepEqual(ways(), homes, `nic${cable} back`);
      }
      await daemon.kill();
      strike(null);
      assert.deepEqual(ways(), homes, "at home, no daemon");
      for (const cable of [1, 0]) {
        const other = `nic${1 - cable}`;
        await pull(cable);
        await until("another port active", () => activePort() === other);
        assert.deepEqual(ways(), [other, other], `nic${cable} away, no daemon`);
        await plug(cable);
        await until("at home again", () => ways().join() === homes.join());
      }
    },
  );
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
  shape: PullsShape,
  settle: (pulls: number) => Promise<void> = async () => undefined,
): Promise<Losses> {
  const reports: PullsReport[] = [];
  let pulls = 0;
  for (let fault = 0; reports.length < PULLS; ) {
    pulls += 1;
    try {
      reports.push(await measurePulls({ ...shape, pulls: 1 }));
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
    const lost = (moments: PullsReport["pulls"]) => moments.map((moment) => moment[way]);
    return `${way} ${lost(pulls).join(" ")} (median ${median(lost(pulls))}), at the return ${lost(plugs).join(" ")}`;
  });
  console.log(`      ${what}: ${words.join("; ")}`);
}
