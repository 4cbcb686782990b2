import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { VERSION } from "../../../src/model/version.ts";
import { exampleStatus, FakeDaemon } from "../control/fake-daemon.ts";
import { type Outcome, runInProcess } from "./in-process.ts";

const command = fileURLToPath(new URL("../../../src/cli/uplinkctl.ts", import.meta.url));

describe("uplinkctl", function () {
  // Some start the real command, 0.3 s on an idle machine.
  this.timeout(60_000);
  let directory: string;
  let daemon: FakeDaemon;
  let servers: ControlServer[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-cli-"));
    daemon = new FakeDaemon();
    servers = [];
  });
  afterEach(async () => {
    for (const server of servers) await server.close();
    rmSync(directory, { recursive: true });
  });

  async function serve(): Promise<void> {
    for (const [name, access] of [
      ["control.sock", "full"],
      ["read.sock", "read"],
    ] as const) {
      servers.push(
        await listenControl({
          handlers: daemon,
          access,
          listen: { path: join(directory, name), mode: 0o600 },
          onError: () => {},
        }),
      );
    }
  }

  function start(args: readonly string[], environment: Record<string, string> = {}) {
    return spawn(process.execPath, [command, ...args], {
      env: { ...process.env, UPLINKD_RUN_DIR: directory, COLUMNS: "80", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** In this process: a start of Node for each would be most of the time. */
  async function run(
    args: readonly string[],
    environment: Record<string, string> = {},
  ): Promise<Outcome> {
    const outcome = await runInProcess(args, {
      version: VERSION,
      environment: { UPLINKD_RUN_DIR: directory, COLUMNS: "80", ...environment },
      nowMs: Date.now,
    });
    const { stderr, stdout } = outcome;
    assert.doesNotMatch(stdout + stderr, /^\s+at .*:\d+/m, "no stack reaches a person");
    return outcome;
  }

  it("is a command that starts, answers and ends", async () => {
    await serve();
    const child = start(["status"]);
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 0);
    assert.match(stdout, /^uplinkd 0\.1\.0, enforcing, libvirt up/);
  });

  it("shows status in 80 columns, without colour where there is no terminal", async () => {
    await serve();
    const { code, stdout, stderr } = await run(["status"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.ok(!stdout.includes("\u001b"));
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(stdout, /^uplinkd 0\.1\.0, enforcing, libvirt up/);
    assert.match(stdout, /^team bond0 \(active-backup\): degraded, active port eno1$/m);
    assert.match(stdout, /^ {2}eno2 {4}no carrier/m);
    assert.match(stdout, /^web1 +vnet0 +gold +high +eno2>eno1 +500mbit +850mbit +320mbit$/m);
    assert.match(stdout, /batch: paused by uplinkd; resumes by itself/);
    assert.match(stdout, /there is no policy 'brnze'/);
  });

  it("gives the daemon's own document with --json", async () => {
    await serve();
    const { code, stdout } = await run(["status", "--json"]);
    assert.deepEqual([code, JSON.parse(stdout)], [0, exampleStatus]);
  });

  it("explains a domain", async () => {
    await serve();
    const { code, stdout } = await run(["explain", "web1"]);
    assert.equal(code, 0);
    assert.match(stdout, /home is eno2: least used of eno1, eno2/);
    assert.match(stdout, /policy gold: priority high/);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    const json = await run(["explain", "web1", "--json"]);
    assert.deepEqual(JSON.parse(json.stdout), daemon.explain("web1"));
  });

  it("asks the daemon what a loss would bring, and ends with 2 for an uplink that isn't there", async () => {
    await serve();
    const { code, stdout } = await run(["simulate", "--fail", "eno1", "--fail", "eno2", "--json"]);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), daemon.simulate(["eno1", "eno2"]));
    const table = await run(["simulate", "--fail", "eno1"]);
    assert.match(table.stdout, /^eno1 failed: degraded$/m);
    const wrong = await run(["simulate", "--fail", "eno3"]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /uplink eno3: no team of this host has it\n {2}did you mean eno1\?/);
  });

  it("holds and drains, and ends with 1 and the reasons where a reservation would break", async () => {
    await serve();
    assert.match(
      (await run(["hold", "web1"])).stdout,
      /^web1 is held: shaped, never paused or moved$/m,
    );
    assert.equal((await run(["unhold", "web9"])).code, 2);
    const refused = await run(["drain", "eno1"]);
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.match(refused.stderr, /uplink eno1: not drained: domain web1 .* would keep 0bit/);
    const forced = await run(["drain", "eno1", "--force"]);
    assert.match(forced.stdout, /^eno1 is drained: its cable may be pulled\n {2}domain web1/);
    const back = await run(["undrain", "eno1", "--json"]);
    assert.deepEqual(JSON.parse(back.stdout), await daemon.undrain("eno1"));
  });

  it("suggests the domain that was meant and ends with 2", async () => {
    await serve();
    assert.deepEqual(await run(["explain", "wbe1"]), {
      code: 2,
      stdout: "",
      stderr:
        "uplinkctl: domain wbe1: there is no such domain that is running\n  did you mean 'web1'?\n",
    });
  });

  it("suggests the command that was meant and ends with 2", async () => {
    const { code, stderr } = await run(["statsu"]);
    assert.equal(code, 2);
    assert.match(stderr, /Did you mean status\?/);
  });

  for (const [name, args] of [
    ["an unknown option", ["status", "--jsn"]],
    ["a missing argument", ["explain"]],
    ["one argument too many", ["status", "x"]],
    ["a bad number", ["events", "--since", "-1"]],
    ["no command", []],
    ["a group without its command", ["policy"]],
  ] as const) {
    it(`ends with 2 for ${name}`, async () => {
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.notEqual(stderr, "");
    });
  }

  it("ends with 3 where no daemon is, and says how to get one", async () => {
    const { code, stdout, stderr } = await run(["status"]);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(stderr, /read\.sock: uplinkd is not running/);
    assert.match(stderr, /systemctl start uplinkd/);
  });

  it("gives errors as JSON with --json", async () => {
    const { code, stderr } = await run(["status", "--json"]);
    assert.equal(code, 3);
    assert.equal(JSON.parse(stderr).error.kind, "absent");
  });

  it("ends with 3 where something hangs up, and with 1 where it isn't uplinkd", async () => {
    const replies = ["", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!"];
    const strange = createServer((socket) => {
      socket.on("error", () => {});
      socket.end(replies.shift() ?? "");
    });
    await new Promise<void>((resolve) => strange.listen(join(directory, "read.sock"), resolve));
    try {
      assert.equal((await run(["status"])).code, 3);
      const { code, stderr } = await run(["status"]);
      assert.equal(code, 1);
      assert.match(stderr, /the answer could not be read/);
    } finally {
      strange.close();
    }
  });

  it("tells an error inside the daemon as such and ends with 1", async () => {
    await serve();
    daemon.status = () => {
      throw new TypeError("x of undefined");
    };
    const { code, stderr } = await run(["status"]);
    assert.equal(code, 1);
    assert.match(stderr, /an error inside the daemon/);
  });

  it("lists events, and those after a sequence as JSON", async () => {
    await serve();
    daemon.tell("uplink-lost", "eno2 has no carrier");
    daemon.tell("domain-paused", "batch is paused");
    const { stdout } = await run(["events"]);
    assert.match(
      stdout,
      /^\S+ \S+ {2}notice {3}uplink-lost {2}eno2 has no carrier\n.*domain-paused/,
    );
    const { stdout: json } = await run(["events", "--since", "1", "--json"]);
    assert.deepEqual(JSON.parse(json), { events: [daemon.log[1]], lastSequence: 2, missed: false });
  });

  it("follows events, also across a restart of the daemon", async () => {
    await serve();
    daemon.tell("a");
    const child = start(["events", "--follow", "--json"]);
    const ids: string[] = [];
    let rest = "";
    for await (const chunk of child.stdout) {
      rest += chunk;
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) ids.push(JSON.parse(line).id);
      if (ids.length === 1) daemon.tell("b");
      if (ids.length === 2) {
        for (const server of servers.splice(0)) await server.close();
        daemon = new FakeDaemon();
        daemon.tell("after-restart");
        await serve();
      }
      if (ids.length === 3) break;
    }
    child.kill();
    assert.deepEqual(ids, ["a", "b", "after-restart"]);
  });

  it("ends quietly when its reader goes away", async () => {
    await serve();
    for (let n = 0; n < 3000; n++) daemon.tell("x", "y".repeat(100));
    const child = start(["events"]);
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.deepEqual([code, stderr], [0, ""]);
  });

  it("enables again, and ends with 1 if not all is in force", async () => {
    await serve();
    assert.deepEqual(await run(["enable"]), { code: 0, stdout: "enforcing\n", stderr: "" });
    daemon.enable = () => ({
      mode: "enforcing",
      scope: { kind: "host" },
      confirmByMs: null,
      problems: [{ object: "htb eno1", message: "refused", remedy: "look" }],
    });
    const { code, stdout } = await run(["enable"]);
    assert.equal(code, 1);
    assert.match(stdout, /htb eno1: refused/);
  });

  it("enables on probation, says so in status, and confirms", async () => {
    await serve();
    const { code, stdout } = await run(["enable", "--confirm", "90s"]);
    assert.deepEqual([code, daemon.confirmWithinMs], [0, 90_000]);
    assert.match(stdout, /^enforcing\nrolls back in \d+s unless you say: uplinkctl confirm\n$/);
    const confirmByMs = Date.now() + 30_000;
    daemon.statusDocument = {
      ...exampleStatus,
      daemon: { ...exampleStatus.daemon, confirmByMs },
    };
    assert.match((await run(["status"])).stdout, /^rolls back in \d+s unless confirmed/m);
    assert.deepEqual(await run(["confirm"]), { code: 0, stdout: "confirmed\n", stderr: "" });
    assert.equal((await run(["confirm"])).code, 1);
  });

  it("enables a part as a canary, says so, and suggests the part that was meant", async () => {
    await serve();
    assert.equal(
      (await run(["enable", "--domain", "web1"])).stdout,
      "enforcing, domain web1 only\n",
    );
    assert.equal((await run(["enable", "--team", "bond0"])).stdout, "enforcing, team bond0 only\n");
    const wrong = await run(["enable", "--team", "bond1"]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /team bond1: this host has no such team\n {2}did you mean bond0\?/);
    assert.equal((await run(["enable", "--team", "bond0", "--domain", "web1"])).code, 2);
  });

  it("refuses a time to confirm that is none, or too short, and says where the bounds are", async () => {
    await serve();
    assert.equal((await run(["enable", "--confirm", "soon"])).code, 2);
    const { code, stderr } = await run(["enable", "--confirm", "10ms"]);
    assert.equal(code, 2);
    assert.match(stderr, /1 s to 24 h/);
    assert.equal(daemon.confirmWithinMs, null);
  });

  it("observes", async () => {
    await serve();
    const { code, stdout } = await run(["observe"]);
    assert.deepEqual([code, stdout], [0, "eno1: root qdisc removed\nobserving\n"]);
  });

  it("releases, and ends with 1 if something could not be put back", async () => {
    await serve();
    assert.deepEqual(await run(["release"]), {
      code: 0,
      stdout: "eno1: root qdisc removed\nreleased\n",
      stderr: "",
    });
    daemon.release = () => ({
      steps: [],
      problems: [{ object: "eno1", message: "is gone", remedy: "" }],
    });
    const { code, stdout } = await run(["release"]);
    assert.equal(code, 1);
    assert.match(stdout, /not everything:\neno1: is gone/);
  });
});
