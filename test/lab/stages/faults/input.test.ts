import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { runWithInput } from "../../command.ts";
import { type Daemon, domainXml, startDaemon, startDomain } from "../../daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { ping } from "../../standin.ts";
import { switchAddress } from "../../switch.ts";
import { until } from "../../wait.ts";

/** Each must leave the daemon as it was, and the guest with its network. */
describe("input that is not what it should be", () => {
  let daemon: Daemon;
  let guest: Guest;
  before(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
    guest = startGuest(1, "good", '<uplink:bandwidth limit="8mbit"/>');
  });
  after(() => daemon.stop());
  afterEach(async () => {
    const { pid, mode } = (await daemon.status()).daemon;
    assert.deepEqual([pid, mode], [daemon.pid, "enforcing"]);
    assert.equal(ping(guest.namespace, switchAddress), 5);
    assert.ok(readClassCounts("nic0").has((await whereIs(daemon, guest)).classId));
  });

  it("uses what is right of a wrong annotation, and says what is wrong", async () => {
    startDomain({
      name: "typo",
      macs: ["52:54:00:00:00:02"],
      annotation:
        '<uplink:priority>urgent</uplink:priority><uplink:bandwidth reservation="5 potatoes" limit="4mbit"/><uplink:what/>',
    });
    const domain = (await daemon.status()).domains.find(({ name }) => name === "typo");
    assert.equal(domain?.vnics[0]?.limitBitsPerSecond, 4e6);
    const problems = domain?.problems.map(({ message }) => message).join("\n") ?? "";
    for (const wrong of ["urgent", "5 potatoes", "what"]) assert.match(problems, new RegExp(wrong));
    await told(/annotation: domain typo.*urgent/);
    await told(/annotation: domain typo.*5 potatoes/);
  });

  it("lets a VM start whose XML has 10 MB, and says that it was too large", async () => {
    const filler = `<!--${"x".repeat(10 << 20)}-->`;
    hook("huge", `${filler}${domainXml({ name: "huge", macs: ["52:54:00:00:00:03"] })}`);
    await told(/hook.*(large|more than|bytes)/i);
  });

  it("lets a VM start whose XML is a DOCTYPE bomb, in no time", async () => {
    const lols = Array.from({ length: 30 }, (_, level) => {
      const inner = level === 0 ? "lol" : `&lol${level - 1};`.repeat(10);
      return `<!ENTITY lol${level} "${inner}">`;
    });
    const xml = domainXml({ name: "bomb", macs: ["52:54:00:00:00:04"] });
    const startedMs = performance.now();
    hook(
      "bomb",
      `<!DOCTYPE domain [${lols.join("")}]>${xml.replace("bomb</name>", "&lol29;</name>")}`,
    );
    const tookMs = performance.now() - startedMs;
    await told(/bomb.*(DOCTYPE|entit)/i);
    console.log(`      answered after ${tookMs.toFixed(0)} ms`);
    assert.ok(tookMs < 2000, `${tookMs} ms`);
  });

  it("lets a VM start whose XML ends in the middle", async () => {
    hook("half", domainXml({ name: "half", macs: ["52:54:00:00:00:05"] }).slice(0, 150));
    await told(/domain half/);
  });

  it("shapes the first of two domains with one MAC, and says so of the other", async () => {
    const { home, classId } = await whereIs(daemon, guest);
    startDomain({
      name: "twin",
      macs: [guest.mac],
      annotation: '<uplink:bandwidth limit="1mbit"/>',
    });
    const twin = (await daemon.status()).domains.find(({ name }) => name === "twin");
    assert.match(twin?.vnics[0]?.unshapedReason ?? "", /same MAC/);
    await told(/problem: domain twin 52:54:00:00:00:01: .*same MAC/);
    assert.deepEqual(await whereIs(daemon, guest), { home, via: home, classId });
    assert.equal(readClassCounts(home).get(classId)?.ceilBitsPerSecond, 8e6);
  });

  /** libvirt's call at a start; throws unless the script ends with 0. */
  function hook(name: string, xml: string): void {
    assert.equal(runWithInput(xml, "hooks/qemu", name, "start", "begin", "-"), "");
  }

  async function told(pattern: RegExp): Promise<void> {
    await until(`the log to say ${pattern}`, () => pattern.test(daemon.log()), 3000);
  }
});
