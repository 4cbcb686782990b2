// The package's life on a host that systemd runs: installed, enabled, upgraded, removed, purged. One story in order.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { messageIdOf } from "../../../../src/daemon/message-id.ts";
import { meaningOf } from "../../../../src/model/event-id.ts";
import type { Status } from "../../../../src/model/status.ts";
import { VERSION } from "../../../../src/model/version.ts";
import { readJson, run } from "../../command.ts";
import { readClassCounts, readNetworkState } from "../../host.ts";
import { startDomain, virsh, virshAside } from "../../libvirt.ts";
import {
  buildSettledHost,
  DPKG,
  forgetSlowUnit,
  LIBVIRT_UNITS,
  packageFile,
  prepareSystemd,
  untilSlow,
} from "../../systemd-host.ts";

const MAC = "52:54:00:00:00:0b";
const UPGRADE = "99.0";
const UNITS = [
  "uplinkd.service",
  ...["hook", "control", "read", "metrics"].map((name) => `uplinkd-${name}.socket`),
];
const JOURNAL = "/var/lib/uplinkd/journal.json";
/** Where an installed file of ours could be. */
const PLACES = [
  "/etc",
  "/run",
  "/var/lib",
  "/usr/bin",
  "/usr/sbin",
  "/usr/lib/systemd",
  "/usr/lib/uplinkd",
].concat(
  ["/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/usr/share/dbus-1", "/usr/share/doc/uplinkd"],
  ["/usr/share/uplinkd", "/usr/share/bash-completion/completions"],
);

const install = (version: string) => run("dpkg", ...DPKG, "-i", packageFile(version));
const status = () => JSON.parse(run("uplinkctl", "status", "--json")) as Status;
const property = (name: string) => run("systemctl", "show", "-P", name, "uplinkd").trim();
const isShaped = () =>
  readJson<{ kind: string }>("tc", "qdisc show dev nic0").some(({ kind }) => kind === "htb");

describe("the package", function () {
  // Unpacking the runtime and starting it take minutes on a machine that others use.
  this.timeout(1_200_000);
  let bare: string;
  const timesMs: Record<string, number> = {};
  const timed = <T>(what: string, act: () => T): T => {
    const startMs = performance.now();
    const result = act();
    timesMs[what] = Math.round(performance.now() - startMs);
    return result;
  };

  const buildAnew = async () => {
    bare = await buildSettledHost({ speedMbit: 40 });
  };

  before(async () => {
    await prepareSystemd();
    await buildAnew();
  });
  after(() => console.log(JSON.stringify(timesMs)));

  it("starts as its own user with two capabilities, and changes nothing", () => {
    assert.equal(readFileSync("/proc/1/comm", "utf8").trim(), "systemd");
    const told = timed("install", () => install(VERSION));
    assert.match(told, /systemctl restart libvirtd/);
    assert.deepEqual(["ActiveState", "Type", "WatchdogUSec", "NRestarts"].map(property), [
      "active",
      "notify",
      "3min",
      "0",
    ]);
    const process_ = readFileSync(`/proc/${property("MainPID")}/status`, "utf8");
    // CAP_NET_ADMIN is 12, CAP_NET_RAW 13.
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
      assert.match(process_, new RegExp(`^${set}:\\s0*3000$`, "m"));
    }
    assert.match(process_, new RegExp(`^Uid:\\s${run("id", "-u", "uplinkd").trim()}\\s`, "m"));
    const { daemon, teams } = timed("status", status);
    assert.equal(daemon.mode, "observing");
    assert.equal(teams[0]?.condition, "ok");
    assert.equal(readNetworkState(), bare);
  });

  it("is exposed by 2.0 at most, as systemd counts", () => {
    const verdict = run("systemd-analyze", "security", "--no-pager", "uplinkd");
    const score = /Overall exposure level for uplinkd.service: (\d+\.\d)/.exec(verdict)?.[1];
    console.log(`systemd-analyze security: ${score}`);
    assert.ok(Number(score) <= 2.0, verdict);
  });

  it("goes back by itself when enabling isn't confirmed", async () => {
    run("uplinkctl", "enable", "--confirm", "20s");
    assert.ok(isShaped());
    await untilSlow("rolled back", () => !isShaped());
    await untilSlow("observing again", () => status().daemon.mode === "observing");
    assert.equal(readNetworkState(), bare);
  });

  it("is kept off by the flag file when it starts, and says why", async () => {
    writeFileSync("/etc/uplinkd/disabled", "");
    run("uplinkctl", "enable");
    assert.ok(isShaped());
    run("uplinkctl", "release");
    run("systemctl", "restart", "uplinkd");
    const refused = spawnSync("uplinkctl", ["enable"], { encoding: "utf8" });
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /\/etc\/uplinkd\/disabled exists/);
    assert.equal(status().daemon.mode, "observing");
    assert.equal(readNetworkState(), bare);
    rmSync("/etc/uplinkd/disabled");
    run("uplinkctl", "observe");
    run("systemctl", "restart", "uplinkd");
  });

  it("shapes a domain that libvirt starts, through the hook", async () => {
    run("uplinkctl", "enable", "--confirm", "60s");
    run("uplinkctl", "confirm");
    timed("libvirtd", () => run("systemctl", "start", "libvirtd"));
    await startDomain({
      name: "web1",
      macs: [MAC],
      metadata: `<uplink:network xmlns:uplink="urn:uplinkd:domain:1"><uplink:bandwidth limit="7mbit"/></uplink:network>`,
    });
    assert.equal(readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond, 7e6);
    assert.match(run("tc", "filter", "show", "dev", "bond0", "egress"), new RegExp(MAC));
    await untilSlow("libvirt seen by the daemon", () => status().daemon.libvirt === "up");
  });

  it("tells journald whom a line is about, in fields, with what it means in the catalogue", async () => {
    const asked = ["-u", "uplinkd", `MESSAGE_ID=${messageIdOf("vnic-placed")}`, "DOMAIN=web1"];
    const told = () => run("journalctl", "--no-pager", "-o", "json", ...asked).trim();
    await untilSlow("journald to have the line", () => told() !== "");
    const entry = JSON.parse(told().split("\n").at(-1) ?? "") as Record<string, string>;
    const fields = { DOMAIN: "web1", MAC, PRIORITY: "6", UPLINKD_EVENT: "vnic-placed" };
    assert.deepEqual({ ...entry, ...fields, SYSLOG_IDENTIFIER: "uplinkd" }, entry);
    assert.match(entry.UPLINK ?? "", /^nic[01]$/);
    assert.match(entry.REVISION ?? "", /^\d+$/);
    run("journalctl", "--update-catalog");
    const explained = run("journalctl", "--no-pager", "-x", ...asked);
    assert.ok(explained.includes(meaningOf("vnic-placed").means), explained);
  });

  it("gives its metrics on the loopback to who asks for that, though it can't make such a socket", () => {
    const ask = (path: string) =>
      spawnSync("curl", ["-s", "-w", "%{http_code}", `http://127.0.0.1:9479${path}`], {
        encoding: "utf8",
      }).stdout;
    assert.equal(ask("/metrics"), "000");
    run("systemctl", "stop", "uplinkd");
    run("systemctl", "enable", "--now", "uplinkd-metrics.socket");
    run("systemctl", "start", "uplinkd");
    const metrics = ask("/metrics");
    assert.match(metrics, /^uplinkd_mode\{mode="enforcing"\} 1$/m);
    assert.match(metrics, /^uplinkd_plan_duration_seconds_count [1-9]/m);
    assert.match(ask("/v1/status"), /404$/);
  });

  it("enforces after a boot as before it", async () => {
    // The lab's root is memory, so here a boot is what one leaves: an empty kernel and /run, a journal of another boot.
    virsh("destroy", "web1");
    run("systemctl", "stop", ...LIBVIRT_UNITS, ...UNITS);
    rmSync("/run/uplinkd", { recursive: true, force: true });
    const journal = JSON.parse(readFileSync(JOURNAL, "utf8")) as { bootId: string };
    writeFileSync(JOURNAL, JSON.stringify({ ...journal, bootId: "another" }));
    await buildAnew();
    run("systemd-tmpfiles", "--create", "uplinkd.conf");
    run("systemctl", "start", ...UNITS.slice(1));
    // Nobody names the daemon: libvirtd wants it, and starts after it.
    timed("boot", () => run("systemctl", "start", "libvirtd"));
    assert.ok(isShaped());
    assert.equal(status().daemon.mode, "enforcing");
    await virshAside("start", "web1");
    assert.equal(readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond, 7e6);
  });

  it("loses no class over a restart, a crash, an upgrade and a downgrade", async () => {
    const deleted: string[] = [];
    const monitor = spawn("tc", ["monitor"], { stdio: ["ignore", "pipe", "ignore"] });
    monitor.stdout.on("data", (text: Buffer) => {
      deleted.push(
        ...text
          .toString()
          .split("\n")
          .filter((line) => /deleted .*7570/.test(line)),
      );
    });
    try {
      timed("restart", () => run("systemctl", "restart", "uplinkd"));
      assert.equal(status().daemon.mode, "enforcing");
      process.kill(Number(property("MainPID")), "SIGKILL");
      await untilSlow("restarted by systemd", () => property("NRestarts") === "1");
      await untilSlow("ready", () => property("ActiveState") === "active");
      timed("upgrade", () => install(UPGRADE));
      assert.match(run("dpkg", "-s", "uplinkd"), new RegExp(`^Version: ${UPGRADE}$`, "m"));
      assert.equal(status().daemon.mode, "enforcing");
      timed("downgrade", () => install(VERSION));
      assert.equal(status().daemon.version, VERSION);
      assert.equal(status().daemon.mode, "enforcing");
    } finally {
      monitor.kill();
    }
    assert.deepEqual(deleted, []);
    assert.equal(readClassCounts("nic0").get("7570:10")?.ceilBitsPerSecond, 7e6);
  });

  it("gives the host back when it is removed, and its hook then hinders nobody", async () => {
    timed("remove", () => run("dpkg", ...DPKG, "-r", "uplinkd"));
    assert.equal(isShaped(), false);
    virsh("destroy", "web1");
    await virshAside("start", "web1");
    virsh("destroy", "web1");
    assert.equal(readNetworkState(), bare);
    assert.equal(existsSync("/usr/lib/uplinkd"), false);
    assert.equal(existsSync("/etc/uplinkd/uplinkd.yaml"), true);
  });

  it("leaves nothing when it is purged", () => {
    timed("purge", () => run("dpkg", ...DPKG, "-P", "uplinkd"));
    forgetSlowUnit();
    const left = run("find", ...PLACES.filter(existsSync), "-xdev", "-name", "*uplink*");
    assert.equal(left, "");
    assert.throws(() => run("id", "uplinkd"));
    // It ends with 1 where it lists none.
    const units = spawnSync("systemctl", ["list-unit-files", "uplinkd*"], { encoding: "utf8" });
    assert.match(units.stdout, /^0 unit files/m);
  });
});
