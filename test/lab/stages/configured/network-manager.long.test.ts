// A team that NetworkManager makes from its profiles, and what NetworkManager does to it when it is told to apply them again.
import { mkdirSync, writeFileSync } from "node:fs";
import { run } from "../../command.ts";
import { removeStandin } from "../../standin.ts";
import {
  type Adopted,
  adopt,
  assertSurvived,
  installPrograms,
  prepareBoot,
  untilBuilt,
  WITHOUT_UDEV,
} from "./network.ts";

const UNIT = "/run/systemd/system/NetworkManager.service.d";
const PROFILES = "/etc/NetworkManager/system-connections";
const CONFIG = `[main]
plugins=keyfile
no-auto-default=*
dns=none
auth-polkit=false
[keyfile]
unmanaged-devices=interface-name:tap*
`;

const profile = (name: string, type: string, more: string) =>
  `[connection]\nid=${name}\ntype=${type}\ninterface-name=${name}\n${more}`;
const FILES: Readonly<Record<string, string>> = {
  br0: profile(
    "br0",
    "bridge",
    "[bridge]\nstp=false\n[ipv4]\nmethod=manual\naddress1=10.9.0.100/24\n[ipv6]\nmethod=link-local\n",
  ),
  bond0: profile(
    "bond0",
    "bond",
    "master=br0\nslave-type=bridge\n[bond]\nmode=active-backup\nmiimon=100\n",
  ),
  nic0: profile("nic0", "ethernet", "master=bond0\nslave-type=bond\n"),
  nic1: profile("nic1", "ethernet", "master=bond0\nslave-type=bond\n"),
};

const nmcli = (...words: readonly string[]) => run("nmcli", "--wait", "300", ...words);

const ACTS = [
  { title: "nmcli connection reload", run: () => nmcli("connection", "reload") },
  { title: "nmcli device reapply of an uplink", run: () => nmcli("device", "reapply", "nic0") },
  { title: "nmcli device reapply of the bond", run: () => nmcli("device", "reapply", "bond0") },
  { title: "nmcli connection up of an uplink", run: () => nmcli("connection", "up", "nic0") },
  { title: "nmcli connection up of the bond", run: () => nmcli("connection", "up", "bond0") },
  {
    title: "systemctl restart NetworkManager",
    run: () => run("systemctl", "restart", "NetworkManager"),
  },
];

describe("a team built by NetworkManager", function () {
  this.timeout(1_500_000);
  let adopted: Adopted | undefined;

  before(async () => {
    await prepareBoot();
    installPrograms();
    mkdirSync(PROFILES, { recursive: true });
    writeFileSync("/etc/NetworkManager/NetworkManager.conf", CONFIG);
    for (const [name, text] of Object.entries(FILES))
      writeFileSync(`${PROFILES}/${name}.nmconnection`, text, { mode: 0o600 });
    mkdirSync(UNIT, { recursive: true });
    // It sets a bond's options by sysfs.
    writeFileSync(`${UNIT}/lab.conf`, `${WITHOUT_UDEV}ReadWritePaths=/sys/devices /sys/class\n`);
    run("systemctl", "daemon-reload");
    run("systemctl", "reload", "dbus");
    run("systemctl", "start", "NetworkManager");
    await untilBuilt();
  });
  after(async () => {
    for (const guest of adopted?.guests ?? []) removeStandin(guest);
    await adopted?.daemon.release();
    await adopted?.daemon.stop();
    run("systemctl", "stop", "NetworkManager");
  });

  it("is adopted, and right again by itself whatever NetworkManager is told to do", async () => {
    adopted = await adopt();
    for (const act of ACTS) await assertSurvived(adopted, act);
  });
});
