import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HookRequest } from "../../../src/hook/request.ts";
import {
  type HookServer,
  type HookServerOptions,
  startHookServer,
} from "../../../src/hook/server.ts";
import { HookError, type UplinkError } from "../../../src/model/errors.ts";

const REQUEST = "uplinkd-hook 1\nweb1\nprepare\nbegin\n-\n\n<domain/>";

describe("the hook's server", () => {
  let dir: string;
  let path: string;
  let server: HookServer | undefined;
  let reports: UplinkError[];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "uplinkd-hook-"));
    path = join(dir, "hook.sock");
    reports = [];
  });

  afterEach(async () => {
    await server?.close();
    server = undefined;
    rmSync(dir, { recursive: true });
  });

  async function start(handle: HookServerOptions["handle"], deadlineMs = 300): Promise<void> {
    server = await startHookServer({
      listen: { path },
      handle,
      report: (error) => reports.push(error),
      deadlineMs,
    });
  }

  function send(text: string | Buffer, options: { end?: boolean } = {}): Promise<string> {
    return new Promise((resolve) => {
      const socket: Socket = createConnection({ path, allowHalfOpen: true });
      let answer = "";
      socket.on("data", (data) => {
        answer += data;
      });
      socket.on("error", () => resolve(answer));
      socket.on("end", () => {
        socket.end();
        resolve(answer);
      });
      if (options.end === false) socket.write(text);
      else socket.end(text);
    });
  }

  it("hands a request over and answers when the handler has done its work", async () => {
    let seen: HookRequest | undefined;
    let done = false;
    await start(async (request) => {
      seen = request;
      await new Promise((resolve) => setTimeout(resolve, 50));
      done = true;
      return { accept: true };
    });
    assert.equal(await send(REQUEST), "accept\n");
    assert.equal(done, true);
    assert.deepEqual(seen, {
      domain: "web1",
      operation: "prepare",
      subOperation: "begin",
      extra: "-",
      xml: "<domain/>",
    });
    assert.deepEqual(reports, []);
  });

  it("passes a refusal on where libvirt takes it, and nowhere else", async () => {
    await start(() => ({ accept: false, reason: "500mbit don't fit" }));
    assert.equal(await send(REQUEST), "refuse 500mbit don't fit\n");
    assert.equal(reports.length, 0);
    assert.equal(await send(REQUEST.replace("prepare", "reconnect")), "accept\n");
    assert.match(reports[0]?.message ?? "", /can't be refused/);
  });

  it("accepts what the handler can't decide in time, and reports it", async () => {
    await start(() => new Promise(() => {}), 100);
    assert.equal(await send(REQUEST), "accept\n");
    assert.equal(reports[0]?.object, "hook prepare of domain web1");
    assert.match(reports[0]?.message ?? "", /not done within 100 ms/);
  });

  it("tells of a refusal that came too late", async () => {
    await start(async () => {
      await new Promise((resolve) => setTimeout(resolve, 120));
      return { accept: false, reason: "500mbit don't fit" };
    }, 50);
    assert.equal(await send(REQUEST), "accept\n");
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.match(reports[0]?.message ?? "", /not done within 50 ms/);
    assert.match(reports[1]?.message ?? "", /refused too late, it goes on: 500mbit don't fit/);
    assert.equal(reports[1]?.object, "hook prepare of domain web1");
  });

  it("loses no request whose time was over before it was read", async () => {
    const seen: string[] = [];
    await start(({ domain }) => {
      seen.push(domain);
      // As a run of the loop does: nothing is read meanwhile, and the time of those that wait runs on.
      const endMs = performance.now() + 60;
      while (performance.now() < endMs);
      return { accept: true };
    }, 50);
    const names = Array.from({ length: 12 }, (_, index) => `vm${index}`);
    const xml = `<domain>${"x".repeat(100_000)}</domain>`;
    const answers = await Promise.all(
      names.map((name) => send(`uplinkd-hook 1\n${name}\nstart\nbegin\n-\n\n${xml}`)),
    );
    assert.ok(answers.every((answer) => answer === "accept\n"));
    assert.deepEqual(seen.toSorted(), names.toSorted());
    assert.ok(reports.length > 0, "some were accepted without");
  });

  it("accepts where the handler fails, and reports it", async () => {
    await start(() => {
      throw new Error("a bug");
    });
    assert.equal(await send(REQUEST), "accept\n");
    assert.match(reports[0]?.message ?? "", /a bug/);
  });

  for (const [what, text] of [
    ["nonsense", "hello"],
    ["nothing", ""],
    ["10 MB", Buffer.concat([Buffer.from(REQUEST), Buffer.alloc(10 << 20, "x")])],
    ["bytes that are no text", Buffer.alloc(1000, 0xff)],
  ] as const) {
    it(`accepts on ${what}, reports it, and goes on serving`, async () => {
      await start(() => ({ accept: true }));
      assert.equal(await send(text), "accept\n");
      assert.equal(reports.length, 1);
      assert.ok(reports[0] instanceof HookError);
      assert.equal(await send(REQUEST), "accept\n");
    });
  }

  it("accepts a request that never ends", async () => {
    await start(() => ({ accept: true }), 100);
    assert.equal(await send(REQUEST, { end: false }), "accept\n");
    assert.equal(reports.length, 1);
  });

  it("serves a whole host's domains at once", async () => {
    await start(async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      return { accept: true };
    });
    const answers = await Promise.all(Array.from({ length: 60 }, () => send(REQUEST)));
    assert.ok(answers.every((answer) => answer === "accept\n"));
  });

  it("says so where it turns one away", async () => {
    await start(() => ({ accept: true }), 1000);
    const open = Array.from({ length: 256 }, () => createConnection({ path }));
    await Promise.all(
      open.map((socket) => new Promise((resolve) => socket.on("connect", resolve))),
    );
    // Connecting is the kernel's; accepting is ours.
    for (let turn = 0; reports.length === 0 && turn < 100; turn += 1) await send(REQUEST);
    assert.match(reports[0]?.message ?? "", /more than 256 at once: one was turned away/);
    for (const socket of open) socket.destroy();
  });

  it("binds its socket for nobody else", async () => {
    await start(() => ({ accept: true }));
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it("takes the place of a socket that a killed daemon left, but not of a living one", async () => {
    await start(() => ({ accept: true }));
    await assert.rejects(
      startHookServer({ listen: { path }, handle: () => ({ accept: true }), report: () => {} }),
      /another daemon answers/,
    );
    await server?.close();
    assert.equal(existsSync(path), false);
    spawnSync("perl", ["-e", 'socket(S, 1, 1, 0); bind(S, pack("S a108", 1, shift)) or die', path]);
    assert.equal(existsSync(path), true);
    await start(() => ({ accept: true }));
    assert.equal(await send(REQUEST), "accept\n");
  });

  it("answers what it has begun before it ends, and ends twice without harm", async () => {
    await start(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { accept: true };
    });
    const answer = send(REQUEST);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await Promise.all([server?.close(), server?.close()]);
    assert.equal(await answer, "accept\n");
    await server?.close();
  });

  it("says which socket it can't have", async () => {
    await assert.rejects(
      startHookServer({
        listen: { path: join(dir, "none", "hook.sock") },
        handle: () => ({ accept: true }),
        report: () => {},
      }),
      (error) => error instanceof HookError && error.object.includes("none/hook.sock"),
    );
  });
});
