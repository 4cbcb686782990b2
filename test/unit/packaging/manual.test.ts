import assert from "node:assert/strict";
import { Command } from "commander";
import { visibleOptions } from "../../../packaging/commands.ts";
import { MANUAL_PAGES, renderManual } from "../../../packaging/manual.ts";
import { describeUplinkctl, projectManual } from "../../../packaging/programs.ts";
import { buildDaemonProgram } from "../../../src/daemon/program.ts";
import { editorSchemas } from "../../../src/policy/schemas.ts";

const pages = projectManual(0);
const page = (name: string) => pages.get(name) ?? "";

/** Every command that does something, with its whole name. */
function leaves(command: Command, words: readonly string[] = []): [string, Command][] {
  return command.commands.flatMap((child): [string, Command][] => {
    const path = [...words, child.name()];
    return child.commands.length > 0 ? leaves(child, path) : [[path.join(" "), child]];
  });
}

describe("the manual", () => {
  it("has every command of uplinkctl, with every option of it", () => {
    const text = page("uplinkctl.1");
    const items = text.split(/^(?=\.It Cm )/m);
    const all = leaves(describeUplinkctl());
    assert.ok(all.length >= 8);
    for (const [name, command] of all) {
      const item = items.find((part) =>
        new RegExp(`^\\.It Cm ${name}( (Ar|Op) .*)?\\n`).test(part),
      );
      assert.ok(item, name);
      for (const option of visibleOptions(command)) {
        if (option.long === "--help") continue;
        assert.ok(
          item.includes(`.It Fl ${option.long?.slice(1).replaceAll("-", "\\-")}`),
          option.flags,
        );
      }
    }
  });

  it("has every option of uplinkd with its default", () => {
    for (const option of visibleOptions(buildDaemonProgram())) {
      if (option.long === "--help") continue;
      const name = `Fl ${option.long?.slice(1).replaceAll("-", "\\-")}`;
      assert.ok(page("uplinkd.8").includes(name), name);
    }
    assert.match(page("uplinkd.8"), /By default \/var\/lib\/uplinkd\./);
  });

  for (const [file, name] of [
    ["uplinkd.json", "uplinkd.yaml.5"],
    ["policy.json", "uplinkd-policy.5"],
  ] as const) {
    it(`has every key of ${file}`, () => {
      const schema = editorSchemas().get(file) ?? "";
      const keys = new Set(
        [...schema.matchAll(/^ +"(\w+)": \{$/gm)].flatMap(([, key]) =>
          key === undefined || key === "properties" || key === "items" ? [] : [key],
        ),
      );
      assert.ok(keys.size > 8);
      for (const key of keys)
        assert.match(page(name), new RegExp(`^\\.It Cm (.*\\.)?${key}$`, "m"));
    });
  }

  it("leaves no mark unfilled and opens no list that it doesn't close", () => {
    assert.deepEqual([...pages.keys()], MANUAL_PAGES);
    for (const [name, text] of pages) {
      assert.doesNotMatch(text, /@[A-Z-]+@|undefined/, name);
      for (const [open, close] of [
        [/^\.Bl /gm, /^\.El$/gm],
        [/^\.Bd /gm, /^\.Ed$/gm],
      ] as const) {
        assert.equal(text.match(open)?.length, text.match(close)?.length, `${name} ${open}`);
      }
    }
  });

  it("takes help texts as text, whatever they begin with", () => {
    const hostile = new Command("x");
    hostile.command("y").description(".so /etc/passwd").addHelpText("after", "\n'br \\n\n.Sh X\n");
    const nothing = {
      configSchema: "{}",
      policySchema: "{}",
      configExample: "",
      policyExample: "",
    };
    const text =
      renderManual({ uplinkctl: hostile, uplinkd: hostile, ...nothing, dateSeconds: 0 }).get(
        "uplinkctl.1",
      ) ?? "";
    assert.match(text, /^\\&\.so \/etc\/passwd/m);
    assert.match(text, /^\\&'br \\en/m);
    assert.doesNotMatch(text, /^\.(so|Sh X)/m);
  });
});
