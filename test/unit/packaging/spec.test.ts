import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderSpec, rpmPath, SCRIPTS } from "../../../packaging/spec.ts";

const script = (name: string) =>
  readFileSync(join(import.meta.dirname, "../../../packaging/rpm", name), "utf8");

describe("the rpm's description", () => {
  const scripts = { post: script("post"), preun: script("preun"), postun: script("postun") };
  const spec = renderSpec({
    version: "1.2",
    scripts,
    files: [
      { path: "/etc/uplinkd/uplinkd.yaml", executable: false, configuration: true },
      { path: "/etc/libvirt/hooks/qemu.d/50-uplinkd", executable: true, configuration: false },
      { path: "/usr/bin/uplinkctl", executable: true, configuration: false },
    ],
  });

  it("keeps what an operator may have changed, and the hook, which stays executable", () => {
    assert.match(
      spec,
      /^%attr\(0644, root, root\) %config\(noreplace\) \/etc\/uplinkd\/uplinkd.yaml$/m,
    );
    assert.match(
      spec,
      /^%attr\(0755, root, root\) %config\(noreplace\) \/etc\/libvirt\/hooks\/qemu.d\//m,
    );
    assert.match(spec, /^%attr\(0755, root, root\) \/usr\/bin\/uplinkctl$/m);
  });

  it("gives each script its units, and releases only where the last version goes", () => {
    for (const name of SCRIPTS) {
      assert.match(
        spec,
        new RegExp(`^%${name}\\nunits="uplinkd-hook.socket .*uplinkd.service"$`, "m"),
      );
      assert.equal(spawnSync("sh", ["-n"], { input: scripts[name] }).status, 0, name);
    }
    // rpm's count of versions that stay: 1 in an upgrade.
    const upgrade = spawnSync("sh", ["-s", "1"], {
      input: `uplinkctl() { echo released; }\n${scripts.preun}`,
    });
    assert.equal(upgrade.stdout.toString(), "");
  });

  it("has zsh's completion where Fedora's zsh looks for it", () => {
    assert.equal(
      rpmPath("/usr/share/zsh/vendor-completions/_uplinkctl"),
      "/usr/share/zsh/site-functions/_uplinkctl",
    );
  });
});
