import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import type { Command } from "commander";
import { describeUplinkctl } from "../../packaging/programs.ts";
import { isAsShown, type Page, readPages } from "../console.ts";

const repository = join(import.meta.dirname, "../..");
const pages = readPages();

/** Runs a page's command as on a host with the package's policies; the real program, from a shell. */
function execute(command: string, folder: string): string {
  const program = `"${process.execPath}" "${join(repository, "src/cli/uplinkctl.ts")}"`;
  const etc = join(folder, "e");
  const { stdout } = spawnSync("sh", ["-c", `uplinkctl() { ${program} "$@"; }\n${command} 2>&1`], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, COLUMNS: "110", UPLINKD_CONFIG_DIR: etc },
  });
  return stdout.replaceAll(etc, "/etc/uplinkd");
}

function inFolder<T>(page: Page, act: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "u-"));
  try {
    mkdirSync(join(folder, "e"));
    cpSync(join(repository, "policies"), join(folder, "e/policies"), { recursive: true });
    for (const [name, text] of page.files) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return act(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the documents", function () {
  // Each command is a start of the real program, 0.3 s on an idle machine.
  this.timeout(120_000);

  for (const page of pages) {
    const shown = page.commands.filter(({ onHost }) => !onHost);
    if (shown.length === 0) continue;
    it(`print what they show: ${page.path}`, () => {
      inFolder(page, (folder) => {
        for (const { at, command, output } of shown) {
          const printed = execute(command, folder);
          if (!isAsShown(output, printed)) assert.equal(printed, output, `${at}: ${command}`);
        }
      });
    });
  }

  it("show commands and options that there are", () => {
    const all = pages.flatMap(({ commands }) => commands);
    const asked = all.filter(({ command }) => /^(sudo )?uplinkctl /.test(command));
    assert.ok(asked.length > 20);
    for (const { at, command } of asked) {
      const words = command
        .replace(/^sudo /, "")
        .split(" ")
        .slice(1);
      let found: Command = describeUplinkctl();
      while (found.commands.some((child) => child.name() === words[0])) {
        const word = words.shift();
        found = found.commands.find((child) => child.name() === word) ?? found;
      }
      assert.notEqual(found.name(), "uplinkctl", `${at}: ${command}`);
      for (const word of words.filter((each) => each.startsWith("--"))) {
        const isKnown = found.options.some(({ long }) => long === word);
        assert.ok(isKnown, `${at}: ${command}: there is no ${word}`);
      }
    }
  });

  it("show configuration that is right, wherever they show a part of it", () => {
    let parts = 0;
    for (const { path } of pages) {
      const text = readFileSync(join(repository, path), "utf8");
      for (const [, indent = "", body = ""] of text.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)) {
        const lines = body.split("\n").map((line) => line.slice(indent.length));
        // What belongs to a team is shown alone, too; `team:` begins a scenario, which simulate takes.
        const isTeams = lines[0] === "host:";
        const whole = isTeams
          ? ["teams:", "  - bond: bond0", ...lines.map((l) => `    ${l}`)]
          : lines;
        const isScenario = lines[0]?.startsWith("team:") === true;
        inFolder(
          {
            path,
            commands: [],
            files: new Map([[isScenario ? "part.yaml" : "uplinkd.yaml", whole.join("\n")]]),
          },
          (folder) => {
            const command = isScenario
              ? "uplinkctl simulate --scenario part.yaml --fail eno1 >/dev/null && echo right"
              : "uplinkctl policy check uplinkd.yaml >/dev/null && echo right";
            assert.equal(execute(command, folder), "right\n", `${path}: ${body}`);
          },
        );
        parts += 1;
      }
    }
    assert.ok(parts >= 5);
  });

  it("point at files that there are", () => {
    for (const { path } of pages) {
      const text = readFileSync(join(repository, path), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)) {
        const file = normalize(join(repository, dirname(path), target));
        assert.ok(existsSync(file), `${path}: ${target}`);
      }
    }
  });
});
