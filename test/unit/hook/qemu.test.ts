// hooks/qemu itself, run by dash as libvirt runs it, against a real socket.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOOK_OPERATIONS, type HookAnswer, type HookRequest } from "../../../src/hook/request.ts";
import { type HookServer, startHookServer } from "../../../src/hook/server.ts";
import { removeUndo, undoPath, writeUndo } from "../../../src/hook/undo.ts";

const SCRIPT = new URL("../../../hooks/qemu", import.meta.url).pathname;
const XML = `<domain>\n  <name>web 1</name>\n${"  <x/>\n".repeat(1500)}</domain>\n`;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

describe("hooks/qemu", () => {
  let dir: string;
  let server: HookServer | Server | undefined;
  let requests: HookRequest[];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "uplinkd-hook-"));
    requests = [];
    mkdirSync(join(dir, "bin"));
    for (const name of ["logger", "tc"]) program(name, `cat >>"${dir}/${name}.in"`);
    program("logger", `printf '%s\\n' "$*" >>"${dir}/logger.out"`);
    program("tc", `echo "$@" >>"${dir}/tc.args"; cat >>"${dir}/tc.in"`);
  });

  afterEach(async () => {
    await new Promise<void>((resolve) => {
      if (server === undefined) resolve();
      else void Promise.resolve(server.close(() => {})).then(() => resolve());
    });
    server = undefined;
    rmSync(dir, { recursive: true });
  });

  function program(name: string, body: string): void {
    writeFileSync(join(dir, "bin", name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(dir, "bin", name), 0o755);
  }

  function written(name: string): string {
    return existsSync(join(dir, name)) ? readFileSync(join(dir, name), "utf8") : "";
  }

  /** Stands between PATH and the machine, so that a chosen client is the only one there. */
  function onlyWith(client: string): NodeJS.ProcessEnv {
    const { PATH = "" } = process.env;
    // The system's first: a shim that stands before them needs programs that aren't there then.
    const machine = ["/usr/bin", "/bin", ...PATH.split(":")];
    for (const name of ["cat", "timeout", "rm", client]) {
      const found = machine.map((path) => join(path, name)).find(existsSync);
      assert.ok(found !== undefined, `${name} is not installed`);
      symlinkSync(found, join(dir, "bin", name));
    }
    return { PATH: join(dir, "bin") };
  }

  function run(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    shell = ["/bin/dash"],
  ): Promise<Outcome> {
    const started = performance.now();
    const { PATH = "" } = process.env;
    const [program = "", ...words] = shell;
    const child = spawn(program, [...words, SCRIPT, ...args], {
      env: {
        PATH: `${dir}/bin:${PATH}`,
        UPLINKD_RUN_DIR: dir,
        UPLINKD_ETC_DIR: join(dir, "etc"),
        ...env,
      },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(XML);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status) => {
        resolve({ status, stdout, stderr, elapsedMs: performance.now() - started });
      });
    });
  }

  async function answering(answer: HookAnswer): Promise<void> {
    server = await startHookServer({
      listen: { path: join(dir, "hook.sock") },
      handle: (request) => {
        requests.push(request);
        return answer;
      },
      report: () => {},
    });
  }

  async function hanging(): Promise<void> {
    const silent = createServer({ allowHalfOpen: true }, (socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(join(dir, "hook.sock"), resolve));
    server = silent;
    silent.unref();
  }

  const ends = (operation: string) => (/stopped|release/.test(operation) ? "end" : "begin");

  for (const operation of HOOK_OPERATIONS) {
    it(`hands ${operation} on whole, and lets it pass`, async () => {
      await answering({ accept: true });
      const outcome = await run(["web 1", operation, ends(operation), "-"]);
      assert.deepEqual(
        { ...outcome, elapsedMs: 0 },
        { status: 0, stdout: "", stderr: "", elapsedMs: 0 },
      );
      assert.deepEqual(requests, [
        { domain: "web 1", operation, subOperation: ends(operation), extra: "-", xml: XML },
      ]);
      assert.equal(written("logger.out"), "");
    });

    it(`honours a refusal of ${operation} only where libvirt takes it without harm`, async () => {
      await answering({ accept: false, reason: "500mbit don't fit $(id) `id`" });
      const outcome = await run(["web1", operation, ends(operation), "-"]);
      const refused = operation === "prepare" || operation === "migrate";
      assert.equal(outcome.status, refused ? 1 : 0);
      assert.equal(outcome.stdout, "");
      assert.equal(outcome.stderr, refused ? "uplinkd: 500mbit don't fit $(id) `id`\n" : "");
    });
  }

  for (const args of [
    ["restore", "begin"],
    ["prepare", "end"],
    ["started", "end"],
    ["new", "begin"],
    [],
  ]) {
    it(`leaves at once on '${args.join(" ")}'`, async () => {
      await answering({ accept: false, reason: "no" });
      const outcome = await run(["web1", ...args]);
      assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [0, "", ""]);
      assert.deepEqual(requests, []);
    });
  }

  for (const client of ["perl", "nc", "python3"]) {
    it(`speaks by ${client} where there is no better`, async () => {
      const env = onlyWith(client);
      await answering({ accept: false, reason: "no" });
      const outcome = await run(["web1", "prepare", "begin", "-"], env);
      assert.equal(outcome.status, 1);
      assert.equal(requests[0]?.xml, XML);
    });

    it(`gives a daemon that hangs 2 s by ${client}, then lets the guest start and says so`, async () => {
      const env = onlyWith(client);
      await hanging();
      const outcome = await run(["web1", "start", "begin", "-"], env);
      assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [0, "", ""]);
      assert.ok(outcome.elapsedMs > 1000 && outcome.elapsedMs < 3000, `${outcome.elapsedMs} ms`);
      assert.match(written("logger.out"), /uplinkd-hook -p daemon.warning -- .*start of 'web1'/);
    });
  }

  for (const end of ["exit 0", "exit 1", "exit 127", "kill -SEGV $$"]) {
    it(`lets a guest start whose perl does no more than '${end}', and says so`, async () => {
      program("perl", end);
      await answering({ accept: false, reason: "no" });
      const outcome = await run(["web1", "prepare", "begin", "-"]);
      assert.deepEqual([outcome.status, outcome.stdout], [0, ""]);
      assert.doesNotMatch(outcome.stderr, /uplinkd/);
      assert.match(written("logger.out"), /does not answer; prepare of 'web1' goes on without it/);
    });
  }

  // sh elsewhere: bash tells of a signal that ended a command, with the command's whole text.
  for (const how of ["hangs", "refuses", "accepts", "has a perl that crashes"]) {
    it(`has nothing but uplinkd's own words said by bash where the daemon ${how}`, async () => {
      const refuses = how === "refuses";
      if (how === "has a perl that crashes") program("perl", "kill -SEGV $$");
      if (how === "hangs") await hanging();
      else await answering(refuses ? { accept: false, reason: "no" } : { accept: true });
      const bash = ["/bin/bash", "--posix"];
      const outcome = await run(["web1", "prepare", "begin", "-"], {}, bash);
      const said = refuses ? "uplinkd: no\n" : "";
      assert.deepEqual(
        [outcome.status, outcome.stdout, outcome.stderr],
        [refuses ? 1 : 0, "", said],
      );
    });
  }

  it("lets a guest start without daemon, at once", async () => {
    const outcome = await run(["web1", "prepare", "begin", "-"]);
    assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [0, "", ""]);
    assert.ok(outcome.elapsedMs < 1000);
    assert.match(written("logger.out"), /does not answer; prepare of 'web1' goes on without it/);
  });

  it("lets a guest start with a socket that nobody listens on", async () => {
    await hanging();
    await new Promise<void>((resolve) => {
      // Closing unlinks the path; a killed daemon leaves it, so put one back that refuses.
      (server as Server).close(() => resolve());
    });
    const left = spawn("perl", [
      "-e",
      'socket(S, 1, 1, 0); bind(S, pack("S a108", 1, shift)) or die',
      join(dir, "hook.sock"),
    ]);
    await new Promise((resolve) => left.on("close", resolve));
    server = undefined;
    const outcome = await run(["web1", "start", "begin", "-"]);
    assert.equal(outcome.status, 0);
    assert.ok(outcome.elapsedMs < 1000);
    assert.match(written("logger.out"), /start of 'web1'/);
  });

  it("refuses without daemon where fail-closed exists, but nothing beyond prepare and migrate", async () => {
    mkdirSync(join(dir, "etc"));
    writeFileSync(join(dir, "etc", "fail-closed"), "");
    for (const operation of HOOK_OPERATIONS) {
      const outcome = await run(["web1", operation, ends(operation), "-"]);
      const refused = operation === "prepare" || operation === "migrate";
      assert.equal(outcome.status, refused ? 1 : 0, operation);
      assert.equal(outcome.stdout, "");
      assert.match(outcome.stderr, refused ? /^uplinkd: .*fail-closed/ : /^$/);
    }
  });

  for (const name of ["web1", "web 1; rm -rf .", "-x $(id) `id` ' \"", "..", "ünï"]) {
    it(`takes the filters of '${name}' away where no daemon does`, async () => {
      const lines = [
        "filter del dev nic0 ingress pref 7575 handle 0x10 flower",
        "class del dev nic0 classid 7570:10",
      ];
      writeUndo(dir, name, lines);
      const outcome = await run([name, "stopped", "end", "-"]);
      assert.deepEqual([outcome.status, outcome.stdout, outcome.stderr], [0, "", ""]);
      assert.equal(written("tc.args"), "-force -batch -\n");
      assert.equal(written("tc.in"), lines.map((line) => `${line}\n`).join(""));
      assert.equal(existsSync(undoPath(dir, name) ?? ""), false);
      assert.match(written("logger.out"), /were taken away/);
    });
  }

  it("takes nothing but deletions from an undo", async () => {
    writeUndo(dir, "web1", [
      "exec bpf import /tmp/x",
      "filter add dev nic0 ingress bpf obj /tmp/x",
      "filter del dev nic0 ingress pref 7575; id",
      "filter del dev nic0 ingress pref 7576",
    ]);
    await run(["web1", "release", "end", "-"]);
    assert.equal(written("tc.in"), "filter del dev nic0 ingress pref 7576\n");
  });

  it("doesn't follow a link in an undo's place", async () => {
    writeUndo(dir, "other", ["filter del dev nic0 ingress"]);
    symlinkSync(join(dir, "undo", "other.tc"), join(dir, "undo", "web1.tc"));
    await run(["web1", "stopped", "end", "-"]);
    assert.equal(written("tc.in"), "");
    removeUndo(dir, "other");
  });

  it("leaves the undo to a daemon that answers", async () => {
    writeUndo(dir, "web1", ["filter del dev nic0 ingress"]);
    await answering({ accept: true });
    await run(["web1", "stopped", "end", "-"]);
    assert.equal(written("tc.args"), "");
    assert.ok(existsSync(undoPath(dir, "web1") ?? ""));
  });
});
