import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { EAGAIN, ENOENT, errnoMessage, errnoName } from "../../../src/native/errno.ts";
import * as libc from "../../../src/native/libc.ts";

const ENOBUFS = 105;
const ENOTSUP = 95;
const EWOULDBLOCK = 11;

describe("calls of the C library", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "uplinkd-native-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("carry datagrams between sockets, with their real length where the buffer is too small", () => {
    const address = libc.unixAddress(path.join(folder, "socket"));
    const [server, client] = [0, 0].map(() => libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0));
    assert.ok(server !== undefined && client !== undefined && server > 2 && client > 2);
    try {
      assert.equal(libc.bind(server, address), 0);
      const buffer = new Uint8Array(4);
      assert.equal(libc.receive(server, buffer, libc.MSG_DONTWAIT), -EAGAIN);
      assert.deepEqual(libc.pollReadable([server], 0), [false]);
      assert.equal(libc.send(client, Buffer.from("READY=1"), address), 7);
      assert.deepEqual(libc.pollReadable([server, client], 100), [true, false]);
      assert.equal(libc.receive(server, buffer, libc.MSG_TRUNC), 7);
      assert.equal(Buffer.from(buffer).toString(), "READ");
    } finally {
      for (const fd of [server, client]) assert.equal(libc.close(fd), 0);
    }
  });

  it("give back what is free between what is in use", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    let blocks = Array.from({ length: 2000 }, () => new Uint8Array(16_000).fill(1));
    blocks = blocks.filter((_, index) => index % 100 === 0);
    collect();
    assert.equal(libc.trimHeap(), true);
    assert.equal(blocks.length, 20);
  });

  it("give the error as a negative number, as the kernel does", () => {
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
    const nobody = libc.unixAddress(path.join(folder, "nobody"));
    assert.equal(libc.send(fd, Buffer.from("x"), nobody), -ENOENT);
    libc.close(fd);
  });

  it("wake a thread that polls, until the event is cleared", () => {
    const fd = libc.eventDescriptor();
    assert.deepEqual(libc.pollReadable([fd], 0), [false]);
    assert.equal(libc.signalEvent(fd), 8);
    assert.equal(libc.signalEvent(fd), 8);
    assert.deepEqual(libc.pollReadable([fd], 0), [true]);
    assert.equal(libc.clearEvent(fd), 8);
    assert.deepEqual(libc.pollReadable([fd], 0), [false]);
    libc.close(fd);
  });

  it("bound the wait of a receive", () => {
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
    assert.equal(libc.setReceiveTimeout(fd, 20), 0);
    libc.bind(fd, libc.unixAddress(path.join(folder, "quiet")));
    const start = performance.now();
    assert.equal(libc.receive(fd, new Uint8Array(1)), -EAGAIN);
    assert.ok(performance.now() - start >= 15);
    libc.close(fd);
  });
});

describe("names of errors", () => {
  it("are those that people know", () => {
    assert.equal(errnoName(ENOENT), "ENOENT");
    assert.equal(errnoName(EWOULDBLOCK), "EAGAIN");
    assert.match(errnoName(ENOTSUP), /^E(NOTSUP|OPNOTSUPP)$/);
    assert.equal(errnoName(ENOBUFS), "ENOBUFS");
    assert.equal(errnoName(524), "errno 524");
    assert.match(errnoMessage(ENOENT), /no such file/i);
  });
});
