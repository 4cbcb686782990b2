import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { visibleOptions } from "../../../packaging/commands.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "../../../packaging/completion.ts";
import { describeUplinkctl } from "../../../packaging/programs.ts";

const program = describeUplinkctl();

/** Every command and group, the program first, by its words. */
function commands(command: Command, words: readonly string[] = []): [readonly string[], Command][] {
  return [
    [words, command],
    ...command.commands.flatMap((child) => commands(child, [...words, child.name()])),
  ];
}

const longNames = (command: Command) =>
  visibleOptions(command).flatMap((option) => (option.long == null ? [] : [option.long]));

describe("completion in bash", () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-completion-"));
    writeFileSync(join(directory, "script"), bashCompletion(program));
    writeFileSync(join(directory, "gold.yaml"), "");
    mkdirSync(join(directory, "policies"));
    // Stands for libvirt's, which a test can't have.
    writeFileSync(join(directory, "virsh"), "#!/bin/sh\necho web1; echo web2\n", { mode: 0o755 });
  });
  after(() => rmSync(directory, { recursive: true }));

  /** What bash offers for these words, the last of which is being typed. */
  function offers(...words: readonly string[]): string[] {
    const script = `source ./script; COMP_WORDS=(uplinkctl "$@"); COMP_CWORD=$#
compopt() { :; }
_uplinkctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${directory}:${process.env["PATH"]}` };
    const args = ["--norc", "-c", script, "bash", ...words];
    const text = execFileSync("bash", args, { cwd: directory, env, encoding: "utf8" });
    return text.split("\n").filter((line) => line !== "");
  }

  it("offers every command and every option where it is due", () => {
    for (const [words, command] of commands(program)) {
      assert.deepEqual(offers(...words, "--").sort(), [...longNames(command)].sort(), `${words}`);
      const names = command.commands.map((child) => child.name());
      if (names.length > 0) {
        assert.deepEqual(
          offers(...words, "").filter((word) => !word.startsWith("-")),
          names,
        );
      }
    }
  });

  it("completes what was begun", () => {
    assert.deepEqual(offers("pol"), ["policy"]);
    assert.deepEqual(offers("policy", "c"), ["check"]);
    assert.deepEqual(offers("simulate", "--sc"), ["--scenario"]);
  });

  it("offers running domains, files and directories where they are asked for", () => {
    assert.deepEqual(offers("explain", "web"), ["web1", "web2"]);
    assert.deepEqual(offers("policy", "check", "go"), ["gold.yaml"]);
    assert.deepEqual(offers("simulate", "--scenario", "go"), ["gold.yaml"]);
    assert.deepEqual(offers("config", "show", "--dir", ""), ["policies"]);
    assert.deepEqual(offers("events", "--since", ""), []);
  });
});

describe("completion in zsh", () => {
  const text = zshCompletion(program);

  it("has a function for every command, with every option of it", () => {
    assert.match(text, /^#compdef uplinkctl\n/);
    for (const [words, command] of commands(program)) {
      const name = ["_uplinkctl", ...words].join("_");
      const start = text.indexOf(`\n${name}() {\n`);
      assert.ok(start >= 0, name);
      const body = text.slice(start, text.indexOf("\n}\n", start));
      for (const option of longNames(command)) assert.ok(body.includes(option), option);
      for (const child of command.commands) {
        assert.ok(body.includes(`'${child.name()}:`), child.name());
        assert.ok(body.includes(`${child.name()}) ${name}_${child.name()} ;;`), child.name());
      }
    }
  });
});

describe("completion in fish", () => {
  const lines = fishCompletion(program).split("\n");

  it("has a line for every command and for every option of it", () => {
    for (const [words, command] of commands(program)) {
      const path = words.map((word) => `/${word}`).join("");
      const own = lines.filter((line) => line.includes(`-n '__uplinkctl_at "${path}"'`));
      const expected = [
        ...command.commands.map((child) => ` -a ${child.name()} `),
        ...longNames(command).map((option) => ` -l ${option.slice(2)} `),
      ];
      for (const part of expected) {
        assert.equal(own.filter((line) => line.includes(part)).length, 1, `${path}${part}`);
      }
    }
  });
});
