// The tutorial and the how-tos, as a new user goes through them: installed from the package, each command that wants a
// host run, its output compared.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { isAsShown, readPage, readPages, type ShownCommand } from "../../../console.ts";
import { run } from "../../command.ts";
import { endDomains, startDomain } from "../../libvirt.ts";
import {
  buildSettledHost,
  DPKG,
  forgetSlowUnit,
  LIBVIRT_UNITS,
  packageFile,
  prepareSystemd,
} from "../../systemd-host.ts";

/** In this order, as each finds what the one before has left; what stands beside a page is done before it. */
const PAGES: readonly { readonly path: string; readonly before: readonly string[] }[] = [
  { path: "docs/tutorial.md", before: [] },
  {
    path: "docs/howto/annotate.md",
    // The tutorial has installed it, where it was run.
    before: [
      `command -v uplinkctl || dpkg ${DPKG.join(" ")} -i ${packageFile()}`,
      ...["uplinkctl unset web1", "uplinkctl enable"],
    ],
  },
  { path: "docs/howto/maintenance.md", before: ["uplinkctl set web1 --reservation 500mbit"] },
  // Where dpkg runs systemd's trigger the catalogue is current already.
  { path: "docs/howto/watch.md", before: ["journalctl --update-catalog"] },
  { path: "docs/reference/log.md", before: [] },
  { path: "docs/howto/uninstall.md", before: [] },
];
/** On a host of its own. */
const ELSEWHERE = "README.md";

/** apt would ask the network for what is there already. */
function inLab(command: string): string {
  const dpkg = `dpkg ${DPKG.join(" ")}`;
  return command
    .replace(/^sudo /, "")
    .replace(/^apt install \S+$/, `${dpkg} -i ${packageFile()}`)
    .replace(/^apt remove /, `${dpkg} -r `)
    .replace(/^apt purge /, `${dpkg} -P `);
}

describe("the pages", function () {
  // Unpacking the runtime and starting it take minutes on a machine that others use.
  this.timeout(1_200_000);

  before(async () => {
    await prepareSystemd();
    await buildSettledHost({ speedMbit: 1000, bondOptions: "updelay 30000" });
    run("systemctl", "start", "libvirtd");
    // Another file's, where that was run before.
    endDomains(["web1"]);
    await startDomain({ name: "web1", macs: ["52:54:00:00:00:0b"] });
  });
  after(() => {
    endDomains(["web1"]);
    run("systemctl", "stop", ...LIBVIRT_UNITS);
    run("dpkg", ...DPKG, "-P", "uplinkd");
    forgetSlowUnit();
  });

  it("are all that have commands for a host", () => {
    const withCommands = readPages().filter(({ commands }) =>
      commands.some(({ onHost }) => onHost),
    );
    const known = [ELSEWHERE, ...PAGES.map(({ path }) => path)];
    assert.deepEqual(withCommands.map(({ path }) => path).sort(), known.sort());
  });

  for (const { path, before: preparations } of PAGES) {
    it(`print what they show, command by command: ${path}`, () => {
      for (const command of preparations) run("sh", "-c", command);
      const differing: string[] = [];
      for (const shown of readPage(path).commands.filter(({ onHost }) => onHost)) {
        const { printed, status } = execute(shown);
        // Where anything may be printed, an error may not.
        const isFree = shown.output.trim() === "…";
        if (isAsShown(shown.output, printed) && !(isFree && status !== 0)) continue;
        differing.push(shown.at);
        console.log(`${shown.at} $ ${shown.command}: ${status}\n${printed}`);
      }
      assert.deepEqual(differing, []);
    });
  }
});

function execute({ command }: ShownCommand): { printed: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync("sh", ["-c", `${inLab(command)} 2>&1`], {
    encoding: "utf8",
    env: { ...process.env, COLUMNS: "100" },
  });
  return { printed: stdout + stderr, status };
}
