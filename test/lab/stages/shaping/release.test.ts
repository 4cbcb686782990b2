import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resetToBare } from "../../bare.ts";
import { ip, run, runAside, tc } from "../../command.ts";
import { type Daemon, STATE_DIR, startDaemon, startDomain } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, readClassCounts, readNetworkState } from "../../host.ts";
import { Conversation } from "../../loss.ts";
import { addStandin, ping, type Standin } from "../../standin.ts";
import { outside, switchAddress } from "../../switch.ts";
import { until } from "../../wait.ts";

const CONFIG = labConfig({ team: "    bondUpdelay: 300ms" });
/** uplinkctl's start takes a processor of the lab for a second. */
const LATE_MS = 3000;

describe("releasing a host", () => {
  let daemon: Daemon | undefined;
  let guest: Standin;
  let before: string;

  /** A host that was somebody's before: each kind of setting that uplinkd changes has a value of its own. */
  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    ip(["link set nic0 promisc on", "link set nic1 type bond_slave queue_id 7"]);
    tc([
      "qdisc add dev bond0 clsact",
      "filter add dev bond0 ingress pref 100 matchall action ok",
      "qdisc add dev nic1 clsact",
      "filter add dev nic1 egress pref 50000 matchall action ok",
    ]);
    guest = addStandin({ number: 1 });
    ping(guest.namespace, switchAddress);
    await until("addresses to be checked", () => !run("ip", "addr", "show").includes("tentative"));
    before = readNetworkState();
    daemon = await startDaemon({ config: CONFIG });
    startDomain({ name: "guest", macs: [guest.mac] });
    assert.ok(readClassCounts("nic0").has("7570:10"), "uplinkd is in force");
  });
  afterEach(() => daemon?.stop());

  it("gives back exactly what was, by uplinkctl, while traffic flows, and stays out until enabled", async () => {
    const conversation = await Conversation.start({
      a: guest,
      b: outside,
      intervalMicroseconds: 4000,
    });
    const answer = JSON.parse(await uplinkctl("release")) as { steps: string[] };
    const { there, back } = await conversation.finish(LATE_MS);
    console.log(
      `      ${answer.steps.length} steps; ${there.sent} frames each way, lost ${there.lost} there, ${back.lost} back`,
    );
    assertSame(readNetworkState(), before);
    // A root qdisc that goes takes with it what waits in it (qdisc_reset): a few frames, on each uplink once.
    assert.ok(there.lost <= 3, `${there.lost} lost there`);
    assert.equal(back.lost, 0);

    startDomain({ name: "later", macs: ["52:54:00:00:00:02"] });
    await daemon?.kill();
    daemon = await startDaemon({ config: CONFIG, keepState: true });
    assert.equal((await daemon.status()).daemon.mode, "released");
    assertSame(readNetworkState(), before);

    assert.equal((JSON.parse(await uplinkctl("enable")) as { mode: string }).mode, "enforcing");
    startDomain({ name: "guest", macs: [guest.mac] });
    assert.ok(readClassCounts("nic0").has("7570:10"), "in force again");
    assertSame((await daemon.release()) && readNetworkState(), before);
  });

  it("gives back exactly what was without a daemon, and says whom it left paused", async () => {
    await daemon?.kill();
    const path = join(STATE_DIR, "journal.json");
    const journal = JSON.parse(readFileSync(path, "utf8")) as { pauses: object[] };
    journal.pauses.push({
      domain: "sleeper",
      uuid: "00000000-0000-4000-8000-000000000001",
      sinceMs: 1,
      reason: "nic1 lost",
      demandBitsPerSecond: {},
      outcome: "done",
    });
    writeFileSync(path, JSON.stringify(journal));
    const text = await runAside(
      "sh",
      "-c",
      `UPLINKD_STATE_DIR=${STATE_DIR} node dist/uplinkctl.mjs release; echo "exit $?"`,
    );
    assertSame(readNetworkState(), before);
    assert.match(text, /domain sleeper.*is paused by uplinkd: nic1 lost/);
    assert.match(text, /virsh resume sleeper/);
    assert.match(text, /exit 1$/m, "not everything is as it was");
    assert.equal((JSON.parse(readFileSync(path, "utf8")) as { released: boolean }).released, true);
  });

  it("gives back exactly what was by release.sh, with tc and ip alone", async () => {
    // Ours went into a clsact that another program has come to use since.
    tc(["filter add dev nic0 ingress pref 60000 matchall action ok"]);
    await daemon?.stop();
    run("sh", join(STATE_DIR, "release.sh"));
    const shared = readNetworkState();
    assert.match(
      shared,
      /qdisc clsact ffff: dev nic0/,
      "whose filter stands there, keeps its clsact",
    );
    tc(["qdisc del dev nic0 clsact"]);
    assertSame(readNetworkState(), before);
    run("sh", join(STATE_DIR, "release.sh"));
    assertSame(readNetworkState(), before);
  });
});

function uplinkctl(command: string): Promise<string> {
  return runAside("node", "dist/uplinkctl.mjs", command, "--json");
}

/** Says which lines differ, of hundreds. */
function assertSame(now: string, before: string): void {
  const [left, right] = [now.split("\n"), before.split("\n")];
  const added = left.filter((line) => !right.includes(line)).map((line) => `+${line}`);
  const gone = right.filter((line) => !left.includes(line)).map((line) => `-${line}`);
  assert.deepEqual([...gone, ...added], [], "the host is not what it was");
  assert.equal(now, before);
}
