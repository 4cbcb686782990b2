import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderCatalogue, renderLogReference } from "../../../packaging/catalogue.ts";
import { messageIdOf } from "../../../src/daemon/message-id.ts";
import { EVENT_IDS } from "../../../src/model/event-id.ts";

describe("the log's reference", () => {
  it("is current (node packaging/catalogue.ts writes it)", () => {
    const file = new URL("../../../docs/reference/log.md", import.meta.url);
    assert.equal(readFileSync(file, "utf8"), renderLogReference());
  });

  it("is shown by journalctl -x: every id, from what is installed", function () {
    if (spawnSync("journalctl", ["--version"]).status !== 0) this.skip();
    const root = mkdtempSync(join(tmpdir(), "uplinkd-catalogue-"));
    try {
      const folder = join(root, "usr/lib/systemd/catalog");
      for (const each of [folder, join(root, "var/lib/systemd/catalog")])
        mkdirSync(each, { recursive: true });
      writeFileSync(join(folder, "uplinkd.catalog"), renderCatalogue());
      const journalctl = (...words: string[]) =>
        spawnSync("journalctl", [`--root=${root}`, ...words], { encoding: "utf8" });
      const updated = journalctl("--update-catalog");
      assert.deepEqual([updated.status, updated.stderr], [0, ""]);
      const listed = journalctl("--list-catalog").stdout;
      for (const id of EVENT_IDS) {
        assert.ok(
          listed.includes(`${messageIdOf(id)} uplinkd: uplinkd: ${id.replaceAll("-", " ")}`),
          listed,
        );
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
