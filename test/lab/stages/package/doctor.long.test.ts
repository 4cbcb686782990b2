// `uplinkctl doctor` on an installed host that is broken in ten ways: each is named, and the command that it names mends it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { Finding } from "../../../../src/cli/doctor.ts";
import { run } from "../../command.ts";
import {
  buildSettledHost,
  DPKG,
  forgetSlowUnit,
  LIBVIRT_UNITS,
  packageFile,
  prepareSystemd,
  untilSlow,
} from "../../systemd-host.ts";

const HOOK = "/etc/libvirt/hooks/qemu.d/50-uplinkd";

interface Break {
  readonly what: string;
  /** What breaks it, for a shell. */
  readonly by: string;
  readonly told: RegExp;
  /** What doctor names, and is run. */
  readonly mend: string;
}

const BREAKS: readonly Break[] = [
  {
    what: "a bond that never looks at its links",
    by: "ip link set bond0 type bond miimon 0",
    told: /^bond0 has no miimon/,
    mend: "ip link set bond0 type bond miimon 100",
  },
  {
    what: "a bond beside the bridge",
    by: "ip link set bond0 nomaster",
    told: /^bond0 is no bridge's port/,
    mend: "ip link set bond0 master BRIDGE",
  },
  {
    what: "a hook that can't be run",
    by: `chmod 644 ${HOOK}`,
    told: /50-uplinkd is not executable/,
    mend: `chmod 755 ${HOOK}`,
  },
  {
    what: "a hook that libvirt doesn't know yet",
    by: `systemctl start libvirtd; sleep 2; touch ${HOOK}`,
    told: /50-uplinkd is newer than libvirt's start/,
    mend: "systemctl restart libvirtd",
  },
  {
    what: "a control socket that anybody may write to",
    by: "chmod 666 /run/uplinkd/control.sock",
    told: /^control\.sock may be written by others/,
    mend: "chmod 600 /run/uplinkd/control.sock",
  },
  {
    what: "a foreign qdisc",
    by: "tc qdisc replace dev nic0 root handle 1: htb; sleep 2",
    told: /^nic0 root qdisc htb 1:/,
    mend: "tc qdisc del dev nic0 root",
  },
  {
    what: "a daemon that only observes",
    by: "true",
    told: /^uplinkd is observing/,
    mend: "uplinkctl enable --confirm 60s",
  },
  {
    what: "a daemon that is kept off by the flag file",
    by: "uplinkctl observe; touch /etc/uplinkd/disabled; systemctl restart uplinkd",
    told: /^\/etc\/uplinkd\/disabled exists/,
    mend: "rm /etc/uplinkd/disabled; systemctl restart uplinkd",
  },
  {
    what: "a hook socket that is gone",
    by: "systemctl stop uplinkd-hook.socket",
    told: /^hook\.sock is missing/,
    mend: "systemctl stop uplinkd; systemctl enable --now uplinkd-hook.socket; systemctl start uplinkd",
  },
  {
    what: "a daemon that doesn't run",
    by: "systemctl stop uplinkd 'uplinkd*.socket'",
    told: /uplinkd is not running/,
    mend: "systemctl start uplinkd",
  },
];

describe("doctor", function () {
  // Unpacking the runtime and starting it take minutes on a machine that others use.
  this.timeout(1_200_000);

  before(async () => {
    await prepareSystemd();
    await buildSettledHost({ speedMbit: 1000, bondOptions: "updelay 30000" });
    run("dpkg", ...DPKG, "-i", packageFile());
  });
  after(() => {
    run("dpkg", ...DPKG, "-P", "uplinkd");
    run("systemctl", "stop", ...LIBVIRT_UNITS);
    forgetSlowUnit();
  });

  for (const { what, by, told, mend } of BREAKS) {
    it(`names ${what}, and a command that mends it`, async () => {
      shell(by);
      const found = findingsThat(told);
      assert.equal(found.length, 1, JSON.stringify(findings()));
      const { remedy } = found[0] ?? assert.fail();
      assert.ok(remedy.includes(mend), remedy);
      shell(mend.replace("BRIDGE", "br0"));
      await untilSlow(`${what} mended`, () => findingsThat(told).length === 0);
    });
  }
});

function findings(): readonly Finding[] {
  const { stdout, stderr } = spawnSync("uplinkctl", ["doctor", "--json"], { encoding: "utf8" });
  assert.equal(stderr, "");
  return (JSON.parse(stdout) as { findings: readonly Finding[] }).findings;
}

/** Among what isn't well. */
function findingsThat(told: RegExp): readonly Finding[] {
  return findings().filter(
    ({ state, object, message }) => state !== "ok" && told.test(`${object} ${message}`),
  );
}

function shell(command: string): void {
  const { status, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
  assert.equal(status, 0, `${command}: ${stderr}`);
}
