// The tutorial, as a new user goes through it: installed from the package, each command run, its output compared.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { isAsShown, readPage, type ShownCommand } from "../../../console.ts";
import { run } from "../../command.ts";
import { startDomain, virsh } from "../../libvirt.ts";
import {
  buildSettledHost,
  DPKG,
  forgetSlowUnit,
  packageFile,
  prepareSystemd,
} from "../../systemd-host.ts";

/** apt would ask the network for what is there already. */
function inLab(command: string): string {
  return command
    .replace(/^sudo /, "")
    .replace(/^apt install \S+$/, `dpkg ${DPKG.join(" ")} -i ${packageFile()}`);
}

describe("the tutorial", function () {
  // Unpacking the runtime and starting it take minutes on a machine that others use.
  this.timeout(1_200_000);

  before(async () => {
    await prepareSystemd();
    await buildSettledHost({ speedMbit: 1000, bondOptions: "updelay 30000" });
    run("systemctl", "start", "libvirtd");
    await startDomain({ name: "web1", macs: ["52:54:00:00:00:0b"] });
  });
  after(() => {
    virsh("destroy", "web1");
    run("dpkg", ...DPKG, "-P", "uplinkd");
    forgetSlowUnit();
  });

  it("prints what it shows, command by command", () => {
    const differing: string[] = [];
    for (const shown of readPage("docs/tutorial.md").commands) {
      const printed = execute(shown);
      if (isAsShown(shown.output, printed)) continue;
      differing.push(shown.at);
      console.log(`${shown.at} $ ${shown.command}\n${printed}`);
    }
    assert.deepEqual(differing, []);
  });
});

function execute({ command }: ShownCommand): string {
  const { stdout, stderr } = spawnSync("sh", ["-c", `${inLab(command)} 2>&1`], {
    encoding: "utf8",
    env: { ...process.env, COLUMNS: "100" },
  });
  return stdout + stderr;
}
