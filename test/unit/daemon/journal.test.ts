import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "../../../src/daemon/journal.ts";
import { StateError } from "../../../src/model/errors.ts";

const MIGRATION = {
  ...{ domain: "web2", uuid: "w", destination: "rack2", sinceMs: 7 },
  ...{ bandwidthBitsPerSecond: 1e9, reason: "loss", outcome: "seen" as const },
};
const REFUSAL = { uuid: "w", destination: "rack3", untilMs: 8, reason: "full" };

describe("the journal", () => {
  let directory: string;
  let path: string;
  let told: string[];
  const open = (bootId = "boot-1") =>
    Journal.open(path, bootId, (error) => told.push(error.message));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-journal-"));
    path = join(directory, "state", "journal.json");
    told = [];
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("begins empty and keeps what is written", () => {
    const journal = open();
    assert.deepEqual([journal.contents.released, journal.contents.before], [false, []]);
    journal.write({ before: [{ kind: "promiscuity", device: "eno1", on: true }], holds: ["web1"] });
    assert.deepEqual(open().contents, journal.contents);
    assert.deepEqual(told, []);
  });

  it("forgets kernel state with the boot that it was of, but neither pauses nor migrations, holds, drains nor a release", () => {
    const pause = {
      domain: "web1",
      uuid: "u",
      sinceMs: 5,
      reason: "loss",
      demandBitsPerSecond: { "52:54:00:00:00:01": 7 },
      outcome: "done" as const,
    };
    open().write({
      released: true,
      before: [{ kind: "port-queue", device: "eno1", queueId: 3 }],
      clsactCreated: ["eno1"],
      pauses: [pause],
      migrations: [MIGRATION],
      refusals: [REFUSAL],
      holds: ["db"],
      drains: [{ uplink: "eno2", sinceMs: 6 }],
      exemptions: [{ uuid: "v", reason: "a person resumed it" }],
    });
    const { contents } = open("boot-2");
    assert.deepEqual(contents, {
      version: 1,
      bootId: "boot-2",
      released: true,
      observing: false,
      unconfirmed: null,
      scope: { kind: "host" },
      before: [],
      clsactCreated: [],
      pauses: [pause],
      migrations: [MIGRATION],
      refusals: [REFUSAL],
      holds: ["db"],
      drains: [{ uplink: "eno2", sinceMs: 6 }],
      exemptions: [{ uuid: "v", reason: "a person resumed it" }],
    });
  });

  it("takes what has happened also where the disk doesn't, and writes it once there is room", () => {
    const journal = open();
    const taken = { exemptions: [{ uuid: "v", reason: "a person resumed it" }] };
    mkdirSync(`${path}.new`, { recursive: true });
    assert.match(journal.note(taken)?.message ?? "", /can't be written/);
    assert.deepEqual(
      [journal.contents.exemptions, open().contents.exemptions],
      [taken.exemptions, []],
    );
    rmSync(`${path}.new`, { recursive: true });
    journal.catchUp();
    assert.deepEqual(open().contents.exemptions, taken.exemptions);
  });

  it("reads a journal that an earlier version wrote", () => {
    const { exemptions: _, ...earlier } = open().contents;
    mkdirSync(join(directory, "state"));
    writeFileSync(path, JSON.stringify({ ...earlier, holds: ["db"] }));
    assert.deepEqual([open().contents.holds, open().contents.exemptions], [["db"], []]);
  });

  it("reads one of before there was an observe mode", () => {
    open().write({ released: true });
    const { observing: _, unconfirmed: __, ...old } = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify(old));
    const { released, observing, unconfirmed } = open().contents;
    assert.deepEqual([released, observing, unconfirmed, told], [true, false, null, []]);
  });

  for (const [what, text] of [
    ["cut off", '{"version": 1, "bootId'],
    ["of another form", '{"version": "two"}'],
    ["empty", ""],
  ] as const) {
    it(`keeps a file aside that is ${what}, says so, and begins anew`, () => {
      open().write({ holds: ["web1"] });
      writeFileSync(path, text);
      const journal = open();
      assert.deepEqual(journal.contents.holds, []);
      assert.match(told.join(), /damaged and kept as .*journal\.json\.unreadable.*virsh resume/s);
      assert.equal(readFileSync(`${path}.unreadable`, "utf8"), text);
      journal.write({ holds: ["web2"] });
      assert.deepEqual(open().contents.holds, ["web2"]);
    });
  }

  it("leaves the old contents in force when it can't write", () => {
    // A directory of that name can be written by nobody, root included.
    writeFileSync(join(directory, "state"), "no directory");
    const journal = open();
    told = [];
    assert.throws(
      () => journal.write({ released: true }),
      (error: unknown) => {
        assert.ok(error instanceof StateError);
        assert.equal(error.object, path);
        assert.match(error.message, /can't be written.*free space/);
        return true;
      },
    );
    assert.equal(journal.contents.released, false);
    assert.equal(existsSync(`${path}.new`), false);
  });

  it("refuses one of a newer format and leaves it as it is; what a version has added is kept", () => {
    const text = JSON.stringify({ version: 2, pauses: "otherwise told" });
    mkdirSync(join(directory, "state"));
    writeFileSync(path, text);
    assert.throws(open, /format 2 of a newer uplinkd, this one knows 1.*release\.sh/s);
    assert.equal(readFileSync(path, "utf8"), text);
    assert.equal(existsSync(`${path}.unreadable`), false);

    rmSync(path);
    const journal = open();
    journal.write({ holds: ["web1"] });
    const newer = { ...JSON.parse(readFileSync(path, "utf8")), future: { of: "another version" } };
    writeFileSync(path, JSON.stringify(newer));
    open().write({ holds: [] });
    assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), { ...newer, holds: [] });
  });

  it("isn't written through a link that lies where its temporary file belongs", () => {
    mkdirSync(join(directory, "state"));
    const victim = join(directory, "victim");
    writeFileSync(victim, "untouched");
    symlinkSync(victim, `${path}.new`);
    open().write({ holds: ["web1"] });
    assert.equal(readFileSync(victim, "utf8"), "untouched");
    assert.deepEqual(open().contents.holds, ["web1"]);
  });

  it("stays the daemon's own when root writes it, as a release without a daemon does", function () {
    if (process.getuid?.() !== 0) this.skip();
    mkdirSync(join(directory, "state"));
    chownSync(join(directory, "state"), 65534, 65534);
    open().write({ released: true });
    const { uid, gid, mode } = statSync(path);
    assert.deepEqual([uid, gid, mode & 0o777], [65534, 65534, 0o600]);
  });
});
