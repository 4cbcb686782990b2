import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMAND_DOCUMENTS } from "../../../src/cli/documents.ts";
import { errorDocument } from "../../../src/control/documents.ts";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { FakeDaemon } from "../control/fake-daemon.ts";
import { assertDocument } from "../document.ts";
import { ARGUMENTS, commandWords } from "./every-command.ts";
import { FakeLibvirtDomain } from "./fake-libvirt.ts";
import { runInProcess } from "./in-process.ts";

describe("every command's --json", () => {
  let directory: string;
  let daemon: FakeDaemon;
  let server: ControlServer;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-json-"));
    daemon = new FakeDaemon();
    daemon.tell("uplink-lost");
    mkdirSync(join(directory, "policies"));
    writeFileSync(join(directory, "policies/gold.yaml"), "priority: high\n");
    writeFileSync(join(directory, "uplinkd.yaml"), "teams: [{bond: bond0, headroom: 7%}]\n");
    server = await listenControl({
      handlers: daemon,
      access: "full",
      listen: { path: join(directory, "control.sock"), mode: 0o600 },
      onError: (error) => assert.fail(String(error)),
    });
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  const run = (words: string, more: readonly string[], runDirectory = directory) =>
    runInProcess([...words.split(" "), ...more, "--json"], {
      environment: { UPLINKD_RUN_DIR: runDirectory, UPLINKD_CONFIG_DIR: directory },
      openLibvirt: async () => new FakeLibvirtDomain(),
      releaseWithoutDaemon: async () => ({ steps: [], problems: [] }),
    });

  const commands = commandWords();

  it("has a shape, and no shape is of a command that isn't there", () => {
    const known = Object.keys(COMMAND_DOCUMENTS).filter((name) => !name.includes("--"));
    assert.deepEqual(known.sort(), commands.toSorted());
  });

  for (const words of commands) {
    it(`is as published: ${words}`, async () => {
      const files = words === "policy check" ? [join(directory, "uplinkd.yaml")] : [];
      const { stderr, stdout } = await run(words, [...(ARGUMENTS[words] ?? []), ...files]);
      assert.equal(stderr, "");
      const shape = COMMAND_DOCUMENTS[words];
      assert.ok(shape);
      assertDocument(shape, JSON.parse(stdout));
    });
  }

  it("tells errors as published, whatever the command", async () => {
    for (const words of commands) {
      const without = await run(words, ARGUMENTS[words] ?? [], join(directory, "nowhere"));
      if (without.code !== 3) continue;
      assert.equal(without.stdout, "");
      assertDocument(errorDocument, JSON.parse(without.stderr));
    }
  });

  it("gives followed events as published, one a line", () => {
    const shape = COMMAND_DOCUMENTS["events --follow"];
    assert.ok(shape);
    for (const event of daemon.log) assertDocument(shape, event);
  });
});
