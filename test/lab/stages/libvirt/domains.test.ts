// What becomes of real domains: enforced before their first frame, followed through their lives, gone without a trace.
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resetToBare } from "../../bare.ts";
import { run } from "../../command.ts";
import { callHook, type Daemon, RUN_DIR, startDaemon } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import {
  domainNames,
  domainXml,
  endDomains,
  hookFolder,
  installHook,
  interfaceXml,
  resetLibvirt,
  startDomain,
  startLibvirt,
  startDaemon as startService,
  stopDaemon as stopService,
  virsh,
  virshAside,
} from "../../libvirt.ts";
import { ping } from "../../standin.ts";
import { until as untilFast } from "../../wait.ts";

const MAC = "52:54:00:00:00:0b";
const PLUGGED_MAC = "52:54:00:00:00:0c";
const HOOK = join(import.meta.dirname, "../../../../hooks/qemu");
const SEEN = "/run/lab/seen-at-start";
/** Runs after ours (libvirt calls them in the order of their names) and writes down what stands then. */
const WITNESS = `#!/bin/sh
[ "$2" = start ] || exit 0
{ tc filter show dev bond0 egress; tc class show dev nic0; tc class show dev nic1; echo "qemu: $(pgrep -c -f guest=$1)"; } >${SEEN} 2>&1
exit 0
`;

const annotation = (children: string) =>
  `<uplink:network xmlns:uplink="urn:uplinkd:domain:1">${children}</uplink:network>`;

/** A look costs processes, and the nested guests need the CPUs. */
const until = (what: string, condition: () => boolean | Promise<boolean>, limitMs = 20_000) =>
  untilFast(what, condition, limitMs, 300);

describe("real domains", () => {
  let daemon: Daemon;

  before(async () => {
    await resetLibvirt({ stop: true });
    installHook("50-uplinkd", HOOK);
    writeFileSync(join(hookFolder, "60-witness"), WITNESS);
    chmodSync(join(hookFolder, "60-witness"), 0o755);
    await startLibvirt();
  });
  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
  });
  afterEach(async () => {
    endDomains(domainNames());
    await daemon.stop();
  });
  after(() => resetLibvirt({ stop: true }));

  it("claims 1 and 9: class, filter and standby class stand before the guest's CPUs run, and its own frames take them", async () => {
    rmSync(SEEN, { force: true });
    await startDomain({
      name: "web1",
      macs: [MAC],
      ipv4: "10.9.0.11",
      metadata: annotation(
        '<uplink:placement prefer="nic1"/><uplink:bandwidth reservation="3mbit" limit="10mbit"/>',
      ),
    });
    const seen = readFileSync(SEEN, "utf8");
    assert.match(seen, new RegExp(`src_mac ${MAC}`), "the filter");
    assert.equal(seen.match(/class htb 7570:10 /g)?.length, 2, `home and standby class:\n${seen}`);
    const { domains } = await daemon.status();
    const vnic = domains[0]?.vnics[0];
    assert.equal(vnic?.home, "nic1");
    assert.equal(vnic?.limitBitsPerSecond, 10e6);
    await until(
      "the guest's answer",
      () => ping("switch", "10.9.0.11", { count: 1 }) === 1,
      60_000,
    );
    const before = readClassCounts("nic1").get("7570:10")?.packets ?? 0;
    const otherBefore = readClassCounts("nic0").get("7570:10")?.packets ?? 0;
    const answers = ping("switch", "10.9.0.11", { count: 120, intervalMs: 20 });
    const sent = (readClassCounts("nic1").get("7570:10")?.packets ?? 0) - before;
    const sentElsewhere = (readClassCounts("nic0").get("7570:10")?.packets ?? 0) - otherBefore;
    console.log(JSON.stringify({ answers, sentByHome: sent, sentElsewhere }));
    assert.ok(sent >= 100, `${sent} of the guest's frames left by its home in its class`);
    assert.equal(sentElsewhere, 0);

    virsh("destroy", "web1");
    await until("no trace of it", () => !traces(MAC), 5000);
    assert.equal(existsSync(join(RUN_DIR, "undo", "web1.tc")), false);
    assert.equal((await daemon.status()).domains.length, 0);
  });

  it("goes without a trace although the daemon was killed before: the hook takes away what the daemon left it", async () => {
    await startDomain({ name: "web1", macs: [MAC], metadata: annotation("") });
    await until("what to undo", () => existsSync(join(RUN_DIR, "undo", "web1.tc")));
    assert.ok(traces(MAC), "it was enforced");
    await daemon.kill();
    virsh("destroy", "web1");
    assert.equal(traces(MAC), false, "its filters are gone as soon as it is");
    for (const uplink of ["nic0", "nic1"]) {
      assert.equal(readClassCounts(uplink).has("7570:10"), false, `and its class on ${uplink}`);
      assert.ok(readClassCounts(uplink).has("7570:fff0"), `the host's class on ${uplink} isn't`);
    }
    assert.equal(existsSync(join(RUN_DIR, "undo", "web1.tc")), false);
  });

  it("follows a changed annotation, a NIC plugged in and a NIC unplugged of a live domain", async () => {
    const shape = { name: "web1", macs: [MAC], metadata: annotation("") };
    writeFileSync(
      "/run/lab/web1.xml",
      domainXml(shape).replace("<on_reboot>destroy", "<on_reboot>restart"),
    );
    virsh("define", "/run/lab/web1.xml");
    await virshAside("start", "web1");
    const timesMs: Record<string, number> = {};
    await setLimit("7mbit");
    timesMs["annotation"] = await until(
      "the new limit in the kernel",
      () => readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond === 7e6,
    );
    writeFileSync("/run/lab/nic.xml", interfaceXml(PLUGGED_MAC, {}));
    await virshAside("attach-device", "web1", "/run/lab/nic.xml", "--live");
    timesMs["plugged"] = await until("the new NIC's filter", () => traces(PLUGGED_MAC));
    await virshAside("detach-device", "web1", "/run/lab/nic.xml", "--live");
    // The tiny guest knows no ACPI: QEMU lets go of the NIC at the next reset (acpi_pcihp_update).
    await virshAside("reset", "web1");
    timesMs["unplugged"] = await until("its filters gone", () => !traces(PLUGGED_MAC), 20_000);
    assert.ok(traces(MAC), "the other NIC is untouched");

    await daemon.kill();
    await virshAside("destroy", "web1");
    assert.equal(traces(MAC), false, "with a dead daemon the hook takes the filters away itself");
    assert.equal(readClassCounts("nic0").has("7570:10"), false, "and the class");
    console.log(JSON.stringify(timesMs));
  });

  it("refuses with the numbers whose reservation would not survive a loss, those that start at the same time counted", async () => {
    daemon.reconfigure(labConfig({ rest: "admission: {mode: enforce, survive: 1}" }));
    await until("the new configuration", () => daemon.log().includes("reloaded:"));
    const shape = (name: string, mac: string, mbit: number) => ({
      name,
      macs: [mac],
      annotation: `<uplink:bandwidth reservation="${mbit}mbit"/>`,
    });
    // Each uplink has 40 Mbit/s, the host's 1 Mbit/s included; libvirt has asked about this one and not started it.
    callHook("prepare", "begin", shape("other", "52:54:00:00:00:21", 15));
    // Of this one it has said that it starts; one that runs libvirt would have to know.
    callHook("start", "begin", shape("first", MAC, 20));
    const before = await daemon.status();
    assert.equal(before.domains[0]?.vnics[0]?.guarantee, "holds with any one uplink lost");
    const metadata = annotation('<uplink:bandwidth reservation="5mbit"/>');
    await assert.rejects(
      startDomain({ name: "web2", macs: [PLUGGED_MAC], metadata }),
      /with nic[01] lost 52:54:00:00:00:0c's reservation of 5mbit does not fit: nic[01] has 4mbit left of 40mbit/,
    );
    assert.equal((await daemon.status()).domains.length, 1, "libvirt has not started it");
    callHook("release", "end", shape("other", "52:54:00:00:00:21", 15));
    callHook("prepare", "begin", shape("web2", PLUGGED_MAC, 5));
  });

  it("is right again after libvirt-dbus is killed and after libvirtd restarts", async () => {
    await startDomain({ name: "web1", macs: [MAC], metadata: annotation("") });
    const timesMs: Record<string, number> = {};
    const classesBefore = run("tc", "class", "show", "dev", "nic0");
    await stopService("libvirt-dbus", "SIGKILL");
    assert.equal(run("tc", "class", "show", "dev", "nic0"), classesBefore, "enforcement goes on");
    await setLimit("5mbit");
    timesMs["changeAfterLibvirtDbusKilled"] = await until(
      "the change is seen",
      () => readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond === 5e6,
      20_000,
    );
    await setLimit("40mbit");
    await until("and undone", () => run("tc", "class", "show", "dev", "nic0") === classesBefore);
    await stopService("libvirtd", "SIGKILL");
    await startService("libvirtd");
    await until("up", async () => (await daemon.status()).daemon.libvirt === "up", 20_000);
    assert.equal(run("tc", "class", "show", "dev", "nic0"), classesBefore, "nothing was rebuilt");
    await setLimit("6mbit");
    timesMs["eventAfterRestart"] = await until(
      "events come again",
      () => readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond === 6e6,
      20_000,
    );
    virsh("destroy", "web1");
    timesMs["gone"] = await until("no trace", () => !traces(MAC), 20_000);
    console.log(JSON.stringify(timesMs));
  });
});

async function setLimit(limit: string): Promise<void> {
  await virshAside(
    ...["metadata", "web1", "urn:uplinkd:domain:1", "--live", "--key", "uplink"],
    ...["--set", `<network><bandwidth limit="${limit}"/></network>`],
  );
}

/** Whether a filter names the MAC anywhere. */
function traces(mac: string): boolean {
  return ["bond0 egress", "nic0 ingress", "nic1 ingress"].some((place) =>
    run("tc", "filter", "show", "dev", ...place.split(" ")).includes(mac),
  );
}
