// A team that systemd-networkd makes from its files, and what networkd does to it when it is told to read them again.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../command.ts";
import { removeStandin } from "../../standin.ts";
import {
  type Adopted,
  adopt,
  assertSurvived,
  prepareBoot,
  untilBuilt,
  WITHOUT_UDEV,
} from "./network.ts";

const FOLDER = "/etc/systemd/network";
const UNIT = "/run/systemd/system/systemd-networkd.service.d";

const uplinkFile = (link: string) => `[Match]\nName=nic*\n[Link]\n${link}\n[Network]\nBond=bond0\n`;
const FILES: Readonly<Record<string, string>> = {
  "10-bond0.netdev":
    "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\nMIIMonitorSec=100ms\n",
  "10-br0.netdev": "[NetDev]\nName=br0\nKind=bridge\n",
  "20-bond0.network": "[Match]\nName=bond0\n[Network]\nBridge=br0\nLinkLocalAddressing=no\n",
  "20-br0.network": "[Match]\nName=br0\n[Network]\nAddress=10.9.0.100/24\n",
  "20-uplinks.network": uplinkFile(""),
};

const write = (name: string, text: string) => writeFileSync(join(FOLDER, name), text);
const networkctl = (...words: readonly string[]) => run("networkctl", ...words);

const ACTS = [
  { title: "networkctl reconfigure of an uplink", run: () => networkctl("reconfigure", "nic0") },
  {
    title: "networkctl reload with Promiscuous=no for the uplinks",
    run: () => {
      write("20-uplinks.network", uplinkFile("Promiscuous=no"));
      networkctl("reload");
    },
    // It takes the links down at the same moment. What is found changed once the prepared plan has been sent is told, but nobody accused.
    told: /drift-mended: .*promiscuity nic[01] was changed.*likely systemd-networkd \(it has nic[01]:|drift: promiscuity nic[01] differs/,
  },
  {
    title: "systemctl restart systemd-networkd",
    run: () => run("systemctl", "restart", "systemd-networkd"),
  },
];

describe("a team built by systemd-networkd", function () {
  this.timeout(1_500_000);
  let adopted: Adopted | undefined;

  before(async () => {
    await prepareBoot();
    mkdirSync(FOLDER, { recursive: true });
    for (const name of readdirSync(FOLDER)) rmSync(join(FOLDER, name));
    for (const [name, text] of Object.entries(FILES)) write(name, text);
    mkdirSync(UNIT, { recursive: true });
    writeFileSync(join(UNIT, "lab.conf"), WITHOUT_UDEV);
    run("systemctl", "daemon-reload");
    run("systemctl", "start", "systemd-networkd");
    await untilBuilt();
  });
  after(async () => {
    for (const guest of adopted?.guests ?? []) removeStandin(guest);
    await adopted?.daemon.stop();
    run("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd");
    for (const name of Object.keys(FILES)) rmSync(join(FOLDER, name));
  });

  it("is adopted, and right again by itself whatever networkd is told to do; who did it is told", async () => {
    adopted = await adopt();
    for (const act of ACTS) await assertSurvived(adopted, act);
  });
});
