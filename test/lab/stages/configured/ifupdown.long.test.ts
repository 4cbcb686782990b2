// A team that ifupdown makes from /etc/network/interfaces, and what ifup and ifdown do to it.
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
} from "./network.ts";

const INTERFACES = `auto bond0
iface bond0 inet manual
    bond-slaves nic0 nic1
    bond-mode active-backup
    bond-miimon 100
auto br0
iface br0 inet static
    address 10.9.0.100/24
    bridge_ports bond0
    bridge_fd 0
`;

const ACTS = [
  { title: "ifup -a, all being up", run: () => run("ifup", "-a") },
  {
    // What `systemctl restart networking` does. Both are made anew, and the bridge without the guests' taps.
    title: "ifdown and ifup of bond and bridge",
    run: () => {
      run("ifdown", "br0", "bond0");
      run("ifup", "bond0", "br0");
    },
  },
];

describe("a team built by ifupdown", function () {
  this.timeout(1_500_000);
  let adopted: Adopted | undefined;

  before(async () => {
    await prepareBoot();
    installPrograms();
    mkdirSync("/run/network", { recursive: true });
    writeFileSync("/etc/network/interfaces", INTERFACES);
    run("ifup", "-a");
    await untilBuilt();
  });
  after(async () => {
    for (const guest of adopted?.guests ?? []) removeStandin(guest);
    await adopted?.daemon.release();
    await adopted?.daemon.stop();
    run("ifdown", "-a");
  });

  it("is adopted, and right again by itself after ifup and after ifdown", async () => {
    adopted = await adopt();
    for (const act of ACTS) await assertSurvived(adopted, act);
  });
});
