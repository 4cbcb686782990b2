// README on a Debian host that has libvirt and nothing of ours: its annotation, its three steps, as they are printed there.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { Status } from "../../../../src/model/status.ts";
import { isAsShown, readPage, type ShownCommand } from "../../../console.ts";
import { cached, repository } from "../../cache.ts";
import { inNamespace, readJson, run } from "../../command.ts";
import { readClassCounts } from "../../host.ts";
import { domainXml } from "../../libvirt.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { buildSettledHost, packageFile, prepareSystemd, untilSlow } from "../../systemd-host.ts";

const MAC = "52:54:00:00:00:0b";
const ADDRESS = "10.9.0.11";
const CLASS = "7570:10";
/** Where a user has the package that a build machine has made. */
const HOME = "/root";
/** What a login has, and nothing of the lab's: no Node, no repository. */
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME,
  LANG: "C.UTF-8",
  TERM: "dumb",
  COLUMNS: "110",
};

interface Filter {
  readonly pref: number;
  readonly options?: unknown;
}

describe("README", function () {
  // Unpacking the runtime and starting it take minutes on a machine that others use.
  this.timeout(1_800_000);

  before(async () => {
    await prepareSystemd({ libvirt: "as installed" });
    for (const program of ["node", "uplinkctl", "ethtool"]) {
      assert.equal(inShell(`command -v ${program}`), "", `${program} is no clean host's`);
    }
    // The NICs state their speed, as real ones do.
    await buildSettledHost({});
    copyFileSync(packageFile(), join(HOME, basename(packageFile())));
    run("systemctl", "start", "libvirtd");
    defineDomain();
  });

  itEnforces(
    "gives an annotated domain what it says, in three steps on a clean Debian",
    { sabotage: ["vNIC filters gone", "home classes gone"], timeoutMs: 1_800_000 },
    async (strike) => {
      annotate();
      const steps = readPage("README.md").commands;
      assert.ok(steps.length >= 5, `README has ${steps.length} commands`);
      const differing = steps.filter((step) => !isPrinted(step));
      assert.deepEqual(
        differing.map(({ at }) => at),
        [],
      );

      // Enforced as annotated: what README's status has shown is what the kernel has.
      const { daemon, domains } = JSON.parse(inShell("uplinkctl status --json")) as Status;
      assert.equal(daemon.mode, "enforcing");
      const told = domains.map(({ name, vnics }) => ({
        name,
        vnics: vnics.map(({ mac, policy, classId, unshapedReason }) => ({
          ...{ mac, policy, classId, unshapedReason },
        })),
      }));
      const shaped = { mac: MAC, policy: "gold", classId: CLASS, unshapedReason: null };
      assert.deepEqual(told, [{ name: "web1", vnics: [shaped] }]);
      for (const uplink of ["nic0", "nic1"]) {
        const { rateBitsPerSecond, prio } = readClassCounts(uplink).get(CLASS) ?? assert.fail();
        assert.deepEqual([uplink, rateBitsPerSecond, prio], [uplink, 500e6, 2]);
      }
      const filters = readJson<Filter>("tc", "filter show dev bond0 egress");
      const own = filters.filter((filter) => JSON.stringify(filter).includes(MAC));
      assert.ok(own.length > 0 && JSON.stringify(own).includes(CLASS), JSON.stringify(filters));

      // Stopped, it mends nothing, and what it has enforced stays.
      run("systemctl", "stop", "uplinkd");
      strike(null);
      await untilSlow("the guest to answer", () => pings(1) === 1);
      const before = sentPackets();
      const answered = pings(20);
      assert.ok(answered >= 15, `${answered} of 20 answered`);
      const counted = sentPackets() - before;
      assert.ok(counted >= answered, `${counted} frames counted of ${answered} answers`);
    },
  );
});

/** By both uplinks, in the domain's class. */
function sentPackets(): number {
  return ["nic0", "nic1"]
    .map((uplink) => readClassCounts(uplink).get(CLASS)?.packets ?? 0)
    .reduce((sum, packets) => sum + packets, 0);
}

/** @returns how many of the guest's answers have come back to the network outside */
function pings(count: number): number {
  const [program = "", ...words] = inNamespace(outside.namespace);
  const asked = ["ping", "-n", "-q", "-c", String(count), "-i", "0.3", "-W", "3", ADDRESS];
  const { stdout } = spawnSync(program, [...words, ...asked], { encoding: "utf8" });
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
}

function isPrinted({ at, command, output }: ShownCommand): boolean {
  const printed = inShell(command);
  const isRight = isAsShown(output, printed);
  console.log(`${at} $ ${command}${isRight ? "" : `\n${printed}`}`);
  return isRight;
}

/** As a user of a terminal would have it, who answers apt's question. */
function inShell(command: string): string {
  const { stdout } = spawnSync("sh", ["-c", `${command} 2>&1`], {
    cwd: HOME,
    env: ENVIRONMENT,
    input: "y\n",
    encoding: "utf8",
  });
  return stdout;
}

/** web1 without an annotation; its files are where libvirt's own user may read them. */
function defineDomain(): void {
  const images = "/var/lib/libvirt/images";
  const kernel = join(images, "ipxe.lkrn");
  const script = join(images, "web1.ipxe");
  const xml = domainXml({ name: "web1", macs: [MAC], ipv4: ADDRESS });
  copyFileSync(cached("tiny/ipxe.lkrn"), kernel);
  copyFileSync("/run/lab/web1.ipxe", script);
  const file = join(HOME, "web1.xml");
  writeFileSync(
    file,
    xml.replace(cached("tiny/ipxe.lkrn"), kernel).replace("/run/lab/web1.ipxe", script),
  );
  run("virsh", "-q", "define", file);
}

/** README's annotation, by the command that it names, with an editor that puts it in. */
function annotate(): void {
  const text = readFileSync(join(repository, "README.md"), "utf8");
  const xml = /```xml\n(<metadata>[\s\S]*?)```/.exec(text)?.[1] ?? assert.fail("no annotation");
  const edit = /`(virsh edit \w+)`/.exec(text)?.[1] ?? assert.fail("no virsh edit");
  const folder = "/run/lab/editor";
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "metadata"), xml);
  const editor = join(folder, "edit");
  writeFileSync(
    editor,
    `#!/bin/sh\nsed -i -e '/<metadata>/,/<.metadata>/d' -e '/<metadata\\/>/d' -e '/<memory /{r ${folder}/metadata\n}' "$1"\n`,
  );
  chmodSync(editor, 0o755);
  const told = inShell(`EDITOR=${editor} ${edit}`);
  assert.match(told, /XML configuration edited/, told);
  assert.ok(existsSync("/etc/libvirt/qemu/web1.xml"));
}
