import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, leavesBy, quickConfig } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { until } from "../../wait.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;

describe("affinity", () => {
  let daemon: Daemon;
  afterEach(() => daemon.kill());

  itEnforces(
    "claim 8: VM 1 by NIC 1 and VM 2 by NIC 2, each by the other's while its own is away, and home again",
    {
      sabotage: ["pins gone", "queue ids gone", "standby classes gone", "vNIC filters gone"],
      timeoutMs: 180_000,
    },
    async (strike) => {
      await resetToBare();
      await buildHost();
      await setActivePort("nic0");
      daemon = await startDaemon({ config: quickConfig() });
      const first = startGuest(1, "first", prefer("nic0"));
      const second = startGuest(2, "second", prefer("nic1"));
      const guests = [first, second];
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
