import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../../..");
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

interface Package {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

describe("docs/security.md", () => {
  const text = read("docs/security.md");

  it("names tests that exist", () => {
    const rows = text.split("\n").filter((line) => /^\|.*`test\//.test(line));
    assert.ok(rows.length > 10);
    for (const row of rows) {
      const cell = row.split("|").at(-2) ?? "";
      for (const [, file = "", titles = ""] of cell.matchAll(
        /`(test\/[^`]+)`(?:: ((?:"[^"]+"(?:, )?)+))?/g,
      )) {
        const source = read(file);
        for (const [, title = ""] of titles.matchAll(/"([^"]+)"/g))
          assert.ok(source.includes(title), `${file} has no test "${title}"`);
      }
    }
  });
});

describe("dependencies", () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    read("package.json"),
  ) as Package;

  it("are pinned, and each has its reason in docs/security.md", () => {
    const listed = read("docs/security.md").split("## What it depends on")[1] ?? "";
    const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
    for (const [name, version] of Object.entries(all))
      assert.match(version, /^\d+\.\d+\.\d+$/, `${name} may change by itself`);
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies }))
      assert.match(listed, new RegExp(`^\\|.*\\b${name}\\b.*\\|.+\\|$`, "m"), name);
  });

  it("have a hash, each of them", () => {
    const { packages } = JSON.parse(read("package-lock.json")) as {
      packages: Record<string, { integrity?: string }>;
    };
    for (const [path, { integrity }] of Object.entries(packages))
      if (path !== "") assert.match(integrity ?? "", /^sha512-/, path);
  });
});

describe("the sources", () => {
  it("start no program and evaluate no text", () => {
    for (const file of globSync("src/**/*.ts", { cwd: ROOT })) {
      const source = read(file);
      assert.doesNotMatch(source, /child_process|node:vm|\beval\(|new Function\(/, file);
    }
  });
});
