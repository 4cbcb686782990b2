/** What a real daemon takes of memory with a thousand vNICs, and what the kernel takes for their objects. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../test/lab/bare.ts";
import { type Daemon, domainXml, RUN_DIR, startDaemon } from "../../test/lab/daemon.ts";
import { labConfig } from "../../test/lab/guests.ts";
import { buildHost } from "../../test/lab/host.ts";
import { until } from "../../test/lab/wait.ts";
import { macOf } from "../../test/unit/world.ts";
import { atMost, type Benchmark, resultOf } from "../result.ts";

const VNICS = 1000;
/** Within what the hook server takes at a time; those that wait share a run of the loop. */
const TOGETHER = 250;
/** Every so many the memory is told. */
const TOLD = 50;
const SETTLE_MS = 15_000;
/** The collection ten seconds after the last growth, the one a minute later, and what an emulated processor takes for both. */
const QUIET_MS = 180_000;
/** A lab on a busy machine has as many vNICs as were started by then: a figure of fewer is better than none. */
const STARTING_MS = 3_300_000;
/** A run of the loop over a thousand vNICs takes an emulated processor up to a minute. */
const PLACING_MS = 150_000;
/** What asking costs is none of it. */
const ASK_MS = 5000;
const MB = 1e6;

/** Both figures of /proc/PID/status count the daemon with the monitor's thread. */
export const resident: Benchmark = {
  name: "resident",
  run: async () => {
    await resetToBare();
    await buildHost();
    const daemon = await startDaemon({ config: labConfig({ speed: "10gbit" }) });
    await sleep(SETTLE_MS);
    const [empty, kernelBefore] = [memoryOf(daemon.pid), slabBytes()];
    const endMs = performance.now() + STARTING_MS;
    let [vnics, answered] = [0, 0];
    const announceInTurn = async () => {
      while (vnics < VNICS && performance.now() < endMs) {
        vnics += 1;
        await announce(vnics - 1);
        answered += 1;
        if (answered % TOLD === 0)
          console.log(`      ${answered} vNICs: ${Math.round(memoryOf(daemon.pid).all / MB)} MB`);
      }
    };
    await Promise.all(Array.from({ length: TOGETHER }, announceInTurn));
    // A start waits for its vNICs' classes only so long, and goes on without.
    await until("all vNICs placed", () => isPlaced(daemon, vnics), PLACING_MS, ASK_MS);
    await sleep(QUIET_MS);
    const full = memoryOf(daemon.pid);
    const kernelBytes = slabBytes() - kernelBefore;
    await daemon.kill();
    const what = `resident, a daemon with ${vnics} vNICs on 2 uplinks`;
    return [
      resultOf("resident, a daemon without vNICs", "MB", [empty.all / MB]),
      resultOf("resident, a daemon without vNICs: of it not of files", "MB", [empty.own / MB]),
      resultOf(what, "MB", [full.all / MB], vnics === VNICS ? atMost(90) : null),
      resultOf(`${what}: of it not of files`, "MB", [full.own / MB]),
      resultOf(`${what}: the most so far`, "MB", [full.most / MB]),
      resultOf(`kernel memory for ${vnics} vNICs on 2 uplinks, a vNIC`, "kB", [
        kernelBytes / vnics / 1000,
      ]),
    ];
  },
};

async function isPlaced(daemon: Daemon, vnics: number): Promise<boolean> {
  const { domains } = await daemon.status();
  const placed = domains.filter(({ vnics }) => vnics.every(({ home }) => home !== null)).length;
  console.log(`      ${placed} of ${vnics} vNICs are placed`);
  return placed === vnics;
}

/** Announces the start of a domain as hooks/qemu does, without a process for each. */
function announce(index: number): Promise<void> {
  const name = `vm${index}`;
  const xml = domainXml({ name, macs: [macOf(index)], annotation: "" });
  return new Promise((resolve, reject) => {
    const socket = connect(join(RUN_DIR, "hook.sock"), () =>
      socket.end(`uplinkd-hook 1\n${name}\nstart\nbegin\n-\n\n${xml}`),
    );
    socket
      .on("error", reject)
      .on("close", () => resolve())
      .resume();
  });
}

interface Memory {
  readonly all: number;
  /** Without what is a file's, which other processes may share, and which can be read again. */
  readonly own: number;
  readonly most: number;
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) * 1024;
  return { all: bytes("VmRSS"), own: bytes("RssAnon"), most: bytes("VmHWM") };
}

/** What the kernel holds in its own caches and can't give back. */
function slabBytes(): number {
  const text = readFileSync("/proc/meminfo", "latin1");
  return Number(/^SUnreclaim:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}
