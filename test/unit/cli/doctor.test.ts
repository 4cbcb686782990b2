import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Diagnosis, diagnose, renderFindings } from "../../../src/cli/doctor.ts";
import { Failure } from "../../../src/cli/failure.ts";
import { readHostFacts } from "../../../src/cli/host-facts.ts";
import { PolicyErrors } from "../../../src/model/errors.ts";
import type { Status } from "../../../src/model/status.ts";
import { loadAll } from "../../../src/policy/load.ts";
import { exampleStatus } from "../control/fake-daemon.ts";

const NET = "/sys/class/net";
const HOOK = "/etc/libvirt/hooks/qemu.d/50-uplinkd";
const RELEASE = "6.1.0-13-amd64";
const MODULES = ["bonding", "sch_htb", "sch_ingress", "sch_fq_codel", "cls_flower", "cls_matchall"];
const MORE_MODULES = ["cls_u32", "act_skbedit", "act_mirred", "act_gact"];

const wholeStatus: Status = {
  ...exampleStatus,
  teams: exampleStatus.teams.map((team) => ({ ...team, condition: "ok", conflicts: [] })),
};

describe("doctor", () => {
  let root: string;
  let daemon: Status | Failure;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "uplinkd-doctor-"));
    daemon = wholeStatus;
    healthyHost();
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const remove = (path: string) => rmSync(join(root, path), { recursive: true });

  /** The files of a host with bond0 of eno1 and eno2 in br0, on which nothing is wrong. */
  function healthyHost(): void {
    write("/proc/sys/kernel/osrelease", `${RELEASE}\n`);
    write("/proc/stat", "cpu 1 2 3\nbtime 4000000000\n");
    const ko = (name: string) => `kernel/net/sched/${name}.ko.xz: kernel/x.ko.xz\n`;
    write(`/lib/modules/${RELEASE}/modules.dep`, MODULES.map(ko).join(""));
    write(
      `/lib/modules/${RELEASE}/modules.builtin`,
      MORE_MODULES.map((name) => `kernel/net/sched/${name}.ko\n`).join(""),
    );
    write(`${NET}/bond0/bonding/mode`, "active-backup 1\n");
    write(`${NET}/bond0/bonding/miimon`, "100\n");
    write(`${NET}/bond0/bonding/updelay`, "30000\n");
    write(`${NET}/bond0/bonding/slaves`, "eno1 eno2\n");
    write(`${NET}/br0/bridge/stp_state`, "0\n");
    symlinkSync("../br0", join(root, NET, "bond0/master"));
    for (const port of ["eno1", "eno2"]) {
      write(`${NET}/${port}/speed`, "10000\n");
      write(`${NET}/${port}/carrier`, "1\n");
    }
    write(HOOK, "#!/bin/sh\n");
    chmodSync(join(root, HOOK), 0o755);
    // libvirtd, started after the hook was there: 22nd field, in hundredths of a second since boot.
    write("/proc/812/stat", `812 (libvirtd) S ${"0 ".repeat(18)}500 0 0\n`);
    write("/usr/share/dbus-1/system-services/org.libvirt.service", "");
    write("/usr/share/dbus-1/system.d/uplinkd.conf", "");
    write("/etc/passwd", "root:x:0:0\nuplinkd:x:990:990\n");
    for (const name of ["hook", "control", "read"]) {
      write(`/run/uplinkd/${name}.sock`, "");
      chmodSync(join(root, `/run/uplinkd/${name}.sock`), 0o600);
    }
    write("/etc/uplinkd/uplinkd.yaml", "resync: 10s\n");
  }

  function findings() {
    let config: Diagnosis["config"];
    try {
      config = loadAll(join(root, "etc/uplinkd"));
    } catch (error) {
      if (!(error instanceof PolicyErrors)) throw error;
      config = error;
    }
    return diagnose({
      host: readHostFacts(root, "/run/uplinkd"),
      config,
      daemon,
      version: "0.1.0",
    });
  }

  it("finds nothing on a host where all is well", () => {
    assert.deepEqual(
      findings().filter((finding) => finding.state !== "ok"),
      [],
    );
    assert.ok(findings().length >= 6);
  });

  it("takes no offence at a named bond beside bridges: macvtaps may stand on it, or bridges on its VLANs", () => {
    remove(`${NET}/bond0/master`);
    write("/etc/uplinkd/uplinkd.yaml", "teams: [{bond: bond0}]\n");
    assert.deepEqual(
      findings().filter(({ check, state }) => check === "bond" && state !== "ok"),
      [],
    );
  });

  it("names a hash that spreads a VM's flows, unless vNICs are redirected", () => {
    write(`${NET}/bond0/bonding/mode`, "802.3ad 4\n");
    write(`${NET}/bond0/bonding/xmit_hash_policy`, "layer3+4 1\n");
    const told = () => findings().filter(({ message }) => message.includes("layer3+4"));
    write("/etc/uplinkd/uplinkd.yaml", "teams: [{bond: bond0}]\n");
    assert.match(told()[0]?.remedy ?? "", /vlan\+srcmac/);
    write("/etc/uplinkd/uplinkd.yaml", "teams: [{bond: bond0, steering: redirect}]\n");
    assert.deepEqual(told(), []);
  });

  const BROKEN: readonly [string, () => void, RegExp, RegExp][] = [
    [
      "a kernel without flower",
      () => write(`/lib/modules/${RELEASE}/modules.dep`, ""),
      /has no bonding.*cls_flower/,
      /apt-get install linux-image/,
    ],
    [
      "no bond",
      () => remove(`${NET}/bond0`),
      /has no bond/,
      /ip link add bond0 type bond mode active-backup/,
    ],
    [
      "a mode that isn't shaped",
      () => write(`${NET}/bond0/bonding/mode`, "balance-alb 6\n"),
      /mode balance-alb/,
      /uplinkd shapes active-backup, balance-rr, balance-xor, 802.3ad;/,
    ],
    [
      "LACP that nothing names",
      () => write(`${NET}/bond0/bonding/mode`, "802.3ad 4\n"),
      /mode 802\.3ad, which is taken only where it is named/,
      /teams: \[\{bond: bond0\}\]/,
    ],
    ["no miimon", () => write(`${NET}/bond0/bonding/miimon`, "0\n"), /no miimon/, /miimon 100/],
    [
      "no updelay",
      () => write(`${NET}/bond0/bonding/updelay`, "0\n"),
      /no updelay/,
      /bondUpdelay: 30s/,
    ],
    [
      "a bond beside the bridge",
      () => remove(`${NET}/bond0/master`),
      /no bridge's port/,
      /ip link set bond0 master/,
    ],
    ["an Open vSwitch", () => remove(`${NET}/br0`), /belongs to br0, no bridge/, /Linux bridge/],
    ["one uplink", () => write(`${NET}/bond0/bonding/slaves`, "eno1\n"), /has 1 ports/, /second/],
    [
      "an unknown speed",
      () => write(`${NET}/eno2/speed`, "-1\n"),
      /eno2 states no speed/,
      /speed:/,
    ],
    [
      "a configured bond that isn't there",
      () => write("/etc/uplinkd/uplinkd.yaml", "teams: [{bond: bond7}]\n"),
      /bond7 is configured/,
      /uplinkd\.yaml/,
    ],
    [
      "a wrong configuration",
      () => write("/etc/uplinkd/uplinkd.yaml", "resynk: 10s\n"),
      /uplinkd\.yaml:1 .*unknown key/,
      /policy check .*uplinkd\.yaml/,
    ],
    ["no hook", () => remove(HOOK), /is missing/, /reinstall/],
    [
      "a hook that can't be run",
      () => chmodSync(join(root, HOOK), 0o644),
      /not executable/,
      /chmod 755/,
    ],
    [
      "a hook that libvirt doesn't know",
      () => write("/proc/stat", "btime 1000000000\n"),
      /doesn't know it yet/,
      /systemctl restart libvirtd/,
    ],
    [
      "no libvirt-dbus",
      () => remove("/usr/share/dbus-1/system-services"),
      /libvirt-dbus is not installed/,
      /apt-get install libvirt-dbus/,
    ],
    [
      "no D-Bus policy",
      () => remove("/usr/share/dbus-1/system.d"),
      /D-Bus policy/,
      /--reinstall uplinkd; systemctl reload dbus/,
    ],
    ["no user", () => write("/etc/passwd", "root:x:0:0\n"), /user uplinkd/, /systemd-sysusers/],
    [
      "a control socket that anybody may write to",
      () => chmodSync(join(root, "/run/uplinkd/control.sock"), 0o666),
      /control\.sock may be written/,
      /chmod 600 .*uplinkd-control\.socket/,
    ],
    [
      "a missing hook socket",
      () => remove("/run/uplinkd/hook.sock"),
      /hook\.sock is missing/,
      /enable --now uplinkd-hook\.socket/,
    ],
    [
      "a daemon that is disabled from its next start on",
      () => write("/etc/uplinkd/disabled", ""),
      /nothing is enforced from the next start on/,
      /^rm .*unless that is meant/,
    ],
    [
      "a disabled daemon",
      () => {
        write("/etc/uplinkd/disabled", "");
        daemon = { ...wholeStatus, daemon: { ...wholeStatus.daemon, mode: "observing" } };
      },
      /disabled exists: nothing is enforced uplinkd/,
      /^rm .*systemctl restart uplinkd/,
    ],
    [
      "no daemon",
      () => {
        const told = { kind: "absent", object: "read.sock", message: "is not running", remedy: "" };
        daemon = new Failure(3, told);
      },
      /is not running/,
      /systemctl start uplinkd/,
    ],
    [
      "a daemon of another version, observing, without libvirt",
      () => {
        const changed = { version: "0.0.9", mode: "observing", libvirt: "down" } as const;
        daemon = { ...wholeStatus, daemon: { ...wholeStatus.daemon, ...changed } };
      },
      /of version 0\.0\.9.*does not answer.*is observing/,
      /restart uplinkd.*ListDomains.*enable --confirm/,
    ],
    [
      "a foreign qdisc",
      () => {
        const conflict = {
          device: "eno1",
          found: "htb 1:",
          message: "is not ours",
          remedy: "tc",
          blocking: true,
        };
        daemon = {
          ...wholeStatus,
          teams: wholeStatus.teams.map((team) => ({ ...team, conflicts: [conflict] })),
        };
      },
      /eno1 htb 1:: is not ours/,
      /^tc$/,
    ],
  ];
  for (const [what, spoil, message, remedy] of BROKEN) {
    it(`names ${what}, and what mends it`, () => {
      spoil();
      const bad = findings().filter((finding) => finding.state !== "ok");
      const told = bad.map((finding) => `${finding.object} ${finding.message}`).join(" ");
      assert.match(told, message);
      assert.match(bad.map((finding) => finding.remedy).join(" "), remedy);
    });
  }

  it("writes a line for each and what to do below it, in 80 columns", () => {
    remove(HOOK);
    const lines = renderFindings(findings(), { width: 80, paint: (_, text) => text });
    assert.ok(lines.includes(`failed   ${HOOK} is missing`));
    assert.ok(lines.some((line) => line.startsWith("           -> install it anew")));
    for (const line of lines) assert.ok(line.length <= 80, line);
  });
});
