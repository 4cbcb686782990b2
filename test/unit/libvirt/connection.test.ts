import assert from "node:assert/strict";
import { withoutHookCommand } from "../../../src/libvirt/connection.ts";

describe("libvirt's error texts", () => {
  it("keep what a hook said, without how it was called", () => {
    const said =
      "uplinkd: 52:54:00:00:00:50's reservation of 500kbit does not fit: nic0 has 0bit left";
    const command =
      "LC_ALL=C PATH=/usr/sbin:/usr/bin HOME=/root /etc/libvirt/hooks/qemu.d/50-uplinkd a(b) prepare begin -";
    const text = `Hook script execution failed: internal error: Child process (${command}) unexpected exit status 1: ${said}\n`;
    assert.equal(withoutHookCommand(text), `Hook script execution failed: ${said}`);
    assert.equal(withoutHookCommand("Domain not found: no domain"), "Domain not found: no domain");
  });
});
