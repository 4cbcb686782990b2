import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { ConflictError, NetlinkError } from "../../../src/model/errors.ts";
import { exampleStatus, FakeDaemon } from "./fake-daemon.ts";

describe("the local API", () => {
  let directory: string;
  let path: string;
  let daemon: FakeDaemon;
  let server: ControlServer;
  let bugs: unknown[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-control-"));
    path = join(directory, "control.sock");
    daemon = new FakeDaemon();
    bugs = [];
    server = await listen(path, "full");
  });
  afterEach(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  function listen(at: string, access: "read" | "full" | "metrics"): Promise<ControlServer> {
    return listenControl({
      handlers: daemon,
      access,
      listen: { path: at, mode: 0o600 },
      onError: (error) => bugs.push(error),
    });
  }

  async function ask(
    method: string,
    target: string,
    { at = path, body = "" } = {},
  ): Promise<{ code: number; body: unknown; headers: IncomingMessage["headers"] }> {
    const answer = await open(method, target, at, body);
    let text = "";
    for await (const chunk of answer) text += chunk;
    return { code: answer.statusCode ?? 0, body: JSON.parse(text), headers: answer.headers };
  }

  function open(method: string, target: string, at: string, body = ""): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: at, method, path: target }, resolve);
      sent.on("error", reject);
      sent.end(body);
    });
  }

  it("answers status as the daemon gives it", async () => {
    const { code, body, headers } = await ask("GET", "/v1/status");
    assert.deepEqual([code, body], [200, exampleStatus]);
    assert.equal(headers["content-type"], "application/json");
  });

  it("gives metrics as text to who may only read", async () => {
    const at = join(directory, "read.sock");
    const reading = await listen(at, "read");
    try {
      const answer = await open("GET", "/metrics", at);
      let text = "";
      for await (const chunk of answer) text += chunk;
      assert.equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
      assert.match(text, /^uplinkd_mode\{mode="enforcing"\} 1$/m);
      assert.match(text, /^uplinkd_events_total\{id="uplink-lost"\} 0$/m);
    } finally {
      await reading.close();
    }
  });

  it("gives metrics and nothing else where only they are served", async () => {
    const at = join(directory, "metrics.sock");
    const serving = await listen(at, "metrics");
    try {
      const answers = ["/metrics", "/v1/status", "/v1/events?follow=1", "/v1/explain/web1"];
      const codes: number[] = [];
      for (const path of answers) {
        const answer = await open("GET", path, at);
        codes.push(answer.statusCode ?? 0);
        answer.resume();
      }
      assert.deepEqual(codes, [200, 404, 404, 404]);
      assert.equal((await open("POST", "/v1/release", at)).statusCode, 404);
    } finally {
      await serving.close();
    }
  });

  it("explains a domain whose name needs encoding", async () => {
    const [domain] = exampleStatus.domains;
    assert.ok(domain !== undefined);
    daemon.statusDocument = { ...exampleStatus, domains: [{ ...domain, name: "wéb/1 x" }] };
    const { code, body } = await ask("GET", `/v1/explain/${encodeURIComponent("wéb/1 x")}`);
    assert.equal(code, 200);
    assert.equal((body as { domain: { name: string } }).domain.name, "wéb/1 x");
  });

  it("suggests the name that was meant", async () => {
    assert.deepEqual(await ask("GET", "/v1/explain/wbe1").then(({ code, body }) => [code, body]), [
      404,
      {
        error: {
          kind: "not-found",
          object: "domain wbe1",
          message: "there is no such domain that is running",
          remedy: "did you mean 'web1'?",
        },
      },
    ]);
  });

  it("refuses what it does not know, each in its own way", async () => {
    const kinds = async (method: string, target: string) => {
      const { code, body } = await ask(method, target);
      return [code, (body as { error: { kind: string } }).error.kind];
    };
    assert.deepEqual(await kinds("GET", "/v1/nothing"), [404, "not-found"]);
    assert.deepEqual(await kinds("GET", "//v1/status"), [400, "request"]);
    assert.deepEqual(await kinds("GET", "/v1/explain/%ff"), [400, "request"]);
    assert.deepEqual(await kinds("GET", "/v1/events?since=-1"), [400, "request"]);
    assert.deepEqual(await kinds("GET", "/v1/events?follow=yes"), [400, "request"]);
    assert.deepEqual(await kinds("DELETE", "/v1/status"), [405, "method"]);
    assert.equal((await ask("GET", "/v1/release")).headers.allow, "POST");
    assert.equal(daemon.releases, 0);
  });

  it("holds and drains what there is, over control.sock only", async () => {
    const told = async (target: string) => (await ask("POST", target)).body;
    assert.deepEqual(await told("/v1/hold/web1"), { domain: "web1", held: true });
    assert.deepEqual(await told("/v1/unhold/web1"), { domain: "web1", held: false });
    assert.equal((await ask("POST", "/v1/hold/web9")).code, 404);
    assert.equal((await ask("POST", "/v1/drain/eno9")).code, 404);
    assert.equal((await ask("POST", "/v1/undrain/eno9")).code, 404);
    const refused = await ask("POST", "/v1/drain/eno1");
    assert.equal(refused.code, 409);
    assert.match(JSON.stringify(refused.body), /would keep 0bit of its reservation/);
    assert.equal((await ask("POST", "/v1/drain/eno1?force=1")).code, 200);
    const read = join(directory, "read.sock");
    const reader = await listen(read, "read");
    try {
      assert.equal((await ask("POST", "/v1/drain/eno1?force=1", { at: read })).code, 403);
      assert.equal((await ask("GET", "/v1/simulate?fail=eno1", { at: read })).code, 200);
      assert.equal((await ask("GET", "/v1/simulate?fail=eno9", { at: read })).code, 404);
    } finally {
      await reader.close();
    }
  });

  it("releases over control.sock only", async () => {
    const read = join(directory, "read.sock");
    const reader = await listen(read, "read");
    try {
      assert.equal((await ask("GET", "/v1/status", { at: read })).code, 200);
      assert.equal((await ask("POST", "/v1/release", { at: read })).code, 403);
      assert.equal(daemon.releases, 0);
      assert.equal((await ask("POST", "/v1/release")).code, 200);
      assert.equal(daemon.releases, 1);
    } finally {
      await reader.close();
    }
  });

  it("makes its socket with the mode that it was given", () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it("refuses a body that is too large, and is there for the next", async () => {
    const { code } = await ask("POST", "/v1/release", { body: "x".repeat(200_000) });
    assert.deepEqual([code, daemon.releases], [413, 0]);
    assert.equal((await ask("GET", "/v1/status")).code, 200);
  });

  it("passes on errors of the daemon with their object", async () => {
    daemon.release = () => Promise.reject(new NetlinkError("qdisc eno1", 1, "no", "not permitted"));
    const { code, body } = await ask("POST", "/v1/release");
    assert.deepEqual(
      [code, body],
      [
        500,
        { error: { kind: "netlink", object: "qdisc eno1", message: "not permitted", remedy: "" } },
      ],
    );
  });

  it("tells a caller nothing of a bug but that there is one", async () => {
    daemon.status = () => {
      throw new TypeError("secret of the stack");
    };
    const { code, body } = await ask("GET", "/v1/status");
    assert.equal(code, 500);
    assert.ok(!JSON.stringify(body).includes("secret"));
    assert.equal(bugs.length, 1);
  });

  it("survives what isn't HTTP", async () => {
    await new Promise((resolve) => {
      const socket = connect(path, () => socket.end("\0\0garbage\r\n\r\n"));
      socket.resume().on("error", resolve).on("close", resolve);
    });
    assert.equal((await ask("GET", "/v1/status")).code, 200);
  });

  it("gives the events after a sequence", async () => {
    for (const id of ["a", "b", "c"]) daemon.tell(id);
    const { body } = await ask("GET", "/v1/events?since=2");
    const page = body as { events: { id: string }[]; lastSequence: number; missed: boolean };
    assert.deepEqual(
      [page.events.map((event) => event.id), page.lastSequence, page.missed],
      [["c"], 3, false],
    );
  });

  it("sends a follower what was and what comes, each once", async () => {
    daemon.tell("a");
    daemon.tell("b");
    const stream = await open("GET", "/v1/events?since=1&follow=1", path);
    assert.equal(stream.headers["content-type"], "text/event-stream");
    let text = "";
    for await (const chunk of stream) {
      text += chunk;
      if (text.includes(": following") && !text.includes('"c"')) daemon.tell("c");
      if (text.includes('"c"')) break;
    }
    assert.deepEqual(
      [...text.matchAll(/^id: (\d+)$/gm)].map((match) => match[1]),
      ["2", "3"],
    );
  });

  it("sends a follower from before a restart everything that is new", async () => {
    daemon.tell("a");
    const stream = await open("GET", "/v1/events?since=900&follow=1", path);
    for await (const chunk of stream) {
      assert.match(String(chunk), /^id: 1$/m);
      break;
    }
  });

  it("forgets a follower that went away", async () => {
    const stream = await open("GET", "/v1/events?follow=1", path);
    assert.equal(daemon.listeners.size, 1);
    stream.destroy();
    while (daemon.listeners.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("cuts off a follower that doesn't read, and doesn't grow", async () => {
    const stream = await open("GET", "/v1/events?follow=1", path);
    stream.pause();
    for (let n = 0; n < 300 && daemon.listeners.size > 0; n++) {
      daemon.tell("x", "y".repeat(50_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(daemon.listeners.size, 0);
    stream.destroy();
  });

  it("ends its followers when it closes", async () => {
    const stream = await open("GET", "/v1/events?follow=1", path);
    const ended = new Promise((resolve) => stream.once("close", resolve));
    stream.resume().on("error", () => {});
    await server.close();
    await ended;
    assert.equal(daemon.listeners.size, 0);
  });

  it("takes the place of a socket that nobody serves", async () => {
    const stale = join(directory, "stale.sock");
    // A second server's path is unlinked at close; so the file is left behind by a rename.
    const left = createServer().listen(stale);
    await new Promise((resolve) => left.once("listening", resolve));
    const { renameSync } = await import("node:fs");
    renameSync(stale, `${stale}.left`);
    await new Promise((resolve) => left.close(resolve));
    renameSync(`${stale}.left`, stale);
    const second = await listen(stale, "full");
    assert.equal((await ask("GET", "/v1/status", { at: stale })).code, 200);
    await second.close();
  });

  it("does not take the place of another daemon or of a file", async () => {
    await assert.rejects(listen(path, "full"), ConflictError);
    const file = join(directory, "file");
    writeFileSync(file, "precious");
    await assert.rejects(listen(file, "full"), ConflictError);
    assert.equal(statSync(file).size, 8);
  });
});
