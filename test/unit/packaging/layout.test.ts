import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installFiles, listFiles } from "../../../packaging/layout.ts";
import { checkFile } from "../../../src/policy/check.ts";

const repository = join(import.meta.dirname, "../../..");
const files = listFiles({ architecture: "amd64", modules: "/modules", dateSeconds: 0 });
const paths = files.map(({ path }) => path);
const read = (path: string) => readFileSync(join(repository, path), "utf8");

describe("the layout", () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "uplinkd-layout-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const install = (keep: boolean) =>
    installFiles(
      root,
      files.filter(({ path }) => path.startsWith("/etc/")),
      keep,
    );

  it("has what units, launchers and the hook refer to", () => {
    const texts = [
      ...readdirSync(join(repository, "systemd"))
        .filter((name) => name.startsWith("uplinkd"))
        .map((name) => read(`systemd/${name}`)),
      ...files.flatMap(({ content }) => ("bytes" in content ? [content.bytes.toString()] : [])),
    ];
    const named = new Set(
      texts.flatMap((text) => text.match(/\/usr\/lib\/uplinkd\/[\w./-]+/g) ?? []),
    );
    assert.ok(named.size >= 4);
    for (const path of named) assert.ok(paths.includes(path), path);
    assert.equal(new Set(paths).size, paths.length);
  });

  it("installs a configuration in which nothing holds yet, and policies that are right", () => {
    install(false);
    const config = checkFile(join(root, "etc/uplinkd/uplinkd.yaml"), false);
    assert.deepEqual([config.kind, config.errors], ["config", []]);
    const lines = readFileSync(join(root, "etc/uplinkd/uplinkd.yaml"), "utf8").split("\n");
    assert.deepEqual(
      lines.filter((line) => !/^ *#|^ *$/.test(line)),
      [],
    );
    assert.deepEqual(checkFile(join(root, "etc/uplinkd"), true).errors, []);
  });

  it("keeps what an operator has changed, and the hook current", () => {
    install(true);
    const config = join(root, "etc/uplinkd/uplinkd.yaml");
    const hook = join(root, "etc/libvirt/hooks/qemu.d/50-uplinkd");
    for (const file of [config, hook]) writeFileSync(file, "mine");
    install(true);
    assert.equal(readFileSync(config, "utf8"), "mine");
    assert.notEqual(readFileSync(hook, "utf8"), "mine");
    assert.equal(statSync(hook).mode & 0o777, 0o755);
  });

  it("leaves a hook that is silent and does not hinder once the rest is removed", () => {
    install(false);
    const hook = join(root, "etc/libvirt/hooks/qemu.d/50-uplinkd");
    writeFileSync(hook, readFileSync(hook, "utf8").replaceAll("/usr/lib", `${root}/usr/lib`));
    const { status, stdout, stderr } = spawnSync(hook, ["web1", "prepare", "begin", "-"], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });
});

describe("the package's scripts", () => {
  const units = readdirSync(join(repository, "systemd")).filter((name) =>
    /\.\w+t$|\.service$/.test(name),
  );

  for (const name of ["postinst", "prerm", "postrm"]) {
    it(`name every unit, and are right shell: ${name}`, () => {
      const text = read(`packaging/debian/${name}`);
      assert.equal(units.length, 5);
      for (const unit of units) {
        // The metrics' socket is taken away with the rest, but begun only by who wants it.
        const isNamed = name !== "postinst" || unit !== "uplinkd-metrics.socket";
        assert.equal(text.includes(unit), isNamed, unit);
      }
      assert.equal(spawnSync("sh", ["-n"], { input: text }).status, 0);
    });
  }
});
