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
      lost: null,
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
    it(`looks on where its file is ${what}, keeps it and says so, until somebody enables`, () => {
      open().write({ holds: ["web1"] });
      writeFileSync(path, text);
      for (const start of [1, 2]) {
        const { released, observing, lost, holds } = open().contents;
        assert.deepEqual([released, observing, holds], [true, true, []], `start ${start}`);
        assert.equal(told.length, start, "each start says so");
        assert.match(lost ?? "", /damaged and kept as .*journal\.json\.unreadable.*virsh resume/s);
        assert.equal(told.at(-1), lost);
        assert.equal(readFileSync(path, "utf8"), text, "nothing is written unasked");
      }
      open().write({ holds: ["web2"] });
      assert.equal(readFileSync(`${path}.unreadable`, "utf8"), text);
      assert.deepEqual(
        [open().contents.holds, open().contents.observing, open().contents.lost === null],
        [["web2"], true, false],
      );
      open().write({ released: false, observing: false, lost: null });
      assert.deepEqual([open().contents.released, open().contents.lost], [false, null]);
      assert.equal(told.length, 3);
    });
  }

  it("looks on where its file can't be read, and writes nothing over it", () => {
    // A directory of that name can be read by nobody, root included.
    mkdirSync(path, { recursive: true });
    const { released, observing, lost } = open().contents;
    assert.deepEqual([released, observing], [true, true]);
    assert.match(lost ?? "", /can't be read/);
    assert.deepEqual(told, [lost]);
  });

  it("begins enforcing where there is none: nobody has released anything yet", () => {
    assert.deepEqual([open().contents.released, open().contents.lost, told], [false, null, []]);
  });

  it("leaves the old contents in force when it can't write", () => {
    // A directory of that name can be written by nobody, root included.
    const journal = open();
    writeFileSync(join(directory, "state"), "no directory");
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
