// Migration out of and in to a host whose bond is in another mode than active-backup, as an operator asks libvirt for it.
import assert from "node:assert/strict";
import { hostAddress, readClassCounts, uplinkNames } from "../../host.ts";
import { peerAddress } from "../../peer.ts";
import { ping } from "../../standin.ts";
import { outside } from "../../switch.ts";
import {
  GUEST,
  GUEST_ADDRESS,
  type HostWiring,
  hasClass,
  hasFilter,
  LONG_MS,
  Pinger,
  type Side,
  startGuest,
  type TwoHosts,
  useTwoHosts,
} from "../../twohosts.ts";
import { until } from "../../wait.ts";

const WIRINGS: readonly (HostWiring & { readonly title: string })[] = [
  { title: "balance-rr", host: { mode: "balance-rr" }, group: "balance-xor" },
  {
    title: "802.3ad by redirect",
    ...{ host: { mode: "802.3ad" }, group: "802.3ad", team: "    steering: redirect" },
  },
  {
    title: "802.3ad by hash",
    host: { mode: "802.3ad", bondOptions: "xmit_hash_policy vlan+srcmac" },
    group: "802.3ad",
  },
];

for (const { title, ...wired } of WIRINGS) {
  describe(`migration with a bond in ${title}`, () => {
    let two: TwoHosts;
    useTwoHosts((built) => {
      two = built;
    }, wired);

    /** Has libvirt move the guest, and waits until everybody hears it there. */
    async function move(from: Side): Promise<void> {
      const to = from === "a" ? two.b : two.a;
      const address = from === "a" ? peerAddress : hostAddress;
      const neighbours = [two.neighbours.a.namespace, two.neighbours.b.namespace];
      const pingers = [...neighbours, outside.namespace].map((namespace) => new Pinger(namespace));
      await until(
        "all to hear it before",
        () => pingers.every(({ received }) => received > 2),
        60_000,
      );
      const startedAt = performance.now();
      const words = `--live --persistent --undefinesource ${GUEST} qemu+tcp://${address}/system tcp://${address}`;
      await two[from].virshAside("migrate", ...words.split(" "));
      const tookMs = Math.round(performance.now() - startedAt);
      await until("its filter there", () => hasFilter(to), 60_000, 300);
      const heard = pingers.map(({ received }) => received);
      await until(
        "everybody hears it there",
        () => pingers.every(({ received }, index) => received >= (heard[index] ?? 0) + 5),
        60_000,
        200,
      );
      const reports = await Promise.all(pingers.map((pinger) => pinger.stop()));
      console.log(`      from ${from}: ${JSON.stringify({ tookMs, reports })}`);
      assert.match(to.virsh("domstate", GUEST), /running/);
      await until("its filter here to go", () => !hasFilter(two[from]), 60_000, 300);
      assert.ok(hasClass(to), "its classes stand there");
    }

    it("out and in again: heard by all throughout, its filter where it runs, in its class by its home once it is back", async () => {
      await startGuest(two, "a", "");
      await move("a");
      await move("b");
      const { domains } = await two.a.daemon.status();
      const vnic = domains.find(({ name }) => name === GUEST)?.vnics[0];
      assert.ok(vnic?.via != null && vnic.classId !== null, JSON.stringify(vnic));
      const { classId, via } = vnic;
      const packets = () =>
        uplinkNames().map((name) => readClassCounts(name).get(classId)?.packets ?? 0);
      const before = packets();
      const answers = ping(outside.namespace, GUEST_ADDRESS, { count: 10, intervalMs: 200 });
      const went = packets().map((count, index) => count - (before[index] ?? 0));
      console.log(`      ${answers} answers, by ${uplinkNames().join(", ")}: ${went.join(", ")}`);
      assert.ok(answers >= 8, `${answers} answers`);
      for (const [index, name] of uplinkNames().entries())
        assert.equal((went[index] ?? 0) >= answers, name === via, name);
    }).timeout(4 * LONG_MS);
  });
}
