import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EventLog } from "../../../../src/daemon/events.ts";
import { Journal } from "../../../../src/daemon/journal.ts";
import { LinuxKernel } from "../../../../src/daemon/linux-kernel.ts";
import { ControlLoop } from "../../../../src/daemon/loop.ts";
import type { KernelPort } from "../../../../src/daemon/ports.ts";
import { Registry } from "../../../../src/daemon/registry.ts";
import { parseDomainXml } from "../../../../src/libvirt/domain-xml.ts";
import type { NetlinkError } from "../../../../src/model/errors.ts";
import { kernelKey } from "../../../../src/model/kernel.ts";
import { probeBlock } from "../../../../src/model/probe.ts";
import type { Step } from "../../../../src/model/step.ts";
import { loadAll } from "../../../../src/policy/load.ts";
import { resetToBare } from "../../bare.ts";
import { type DomainShape, domainXml } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, host, readClassCounts, setActivePort } from "../../host.ts";
import { Conversation, type Direction, latestLimitMs } from "../../loss.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";

/** Time to see traffic flow after each step; frames go every 4 ms. */
const LOOK_MS = 80;
const INTERVAL_US = 4000;
/** A sender under TCG is up to 20 ms late; what is on its way while a queue is replaced is lost with it. */
const ON_THE_WAY_MS = 25;
/** Of the 15 or so frames that are sent after a step: one that stops traffic loses all of them. */
const STRAY_FRAMES = 3;

interface Moment {
  readonly what: string;
  readonly fromMs: number;
  readonly toMs: number;
}

describe("installing and releasing step by step", () => {
  let kernel: LinuxKernel;
  beforeEach(resetToBare);
  afterEach(() => kernel.close());

  itEnforces(
    "lets traffic flow both ways after every single step, pinned and not",
    { sabotage: ["promiscuity off", "redirect filters gone"] },
    async (strike) => {
      await buildHost();
      await setActivePort("nic0");
      // At home off the active port; unknown to us and with several queues; and the host itself.
      const pinned = addStandin({ number: 1 });
      const unknown = addStandin({ number: 2, queues: 4 });
      const talks = await Promise.all(
        [pinned, unknown, host].map((a, index) =>
          Conversation.start({
            a,
            b: outside,
            port: 5000 + index,
            intervalMicroseconds: INTERVAL_US,
          }),
        ),
      );
      const [clock] = talks;
      assert.ok(clock !== undefined);
      const moments: Moment[] = [];
      const look = async (what: string) => {
        const fromMs = clock.nowMs();
        await sleep(LOOK_MS);
        moments.push({ what, fromMs, toMs: clock.nowMs() });
      };
      kernel = await openKernel();
      const annotation = '<uplink:placement prefer="nic1"/>';
      const loop = newLoop(stepping(kernel, look), [
        { name: "pinned", macs: [pinned.mac], annotation },
      ]);

      await look("nothing installed");
      const { plan, steps } = await loop.run();
      const classId = `7570:${plan.vnics[0]?.minor.toString(16)}`;
      const before = readClassCounts("nic1").get(classId)?.packets ?? 0;
      strike(null);
      await look("all installed");
      const after = readClassCounts("nic1").get(classId)?.packets ?? 0;
      assert.deepEqual(loop.drift, []);
      const released = await loop.release();
      await look("all released");
      assert.deepEqual(released.refused, []);

      const reports = await Promise.all(talks.map((talk) => talk.finish(Number.POSITIVE_INFINITY)));
      const names = ["pinned", "unknown", "host"];
      const lost: string[] = [];
      for (const [index, report] of reports.entries()) {
        for (const way of ["there", "back"] as const) {
          for (const { what, fromMs, toMs } of moments) {
            const count = lostWithin(report[way], fromMs + ON_THE_WAY_MS, toMs - ON_THE_WAY_MS / 5);
            if (count > STRAY_FRAMES)
              lost.push(`${names[index]} ${way} after ${what}: ${count} lost`);
          }
        }
      }
      console.log(
        `      ${JSON.stringify({
          installing: steps.length,
          releasing: released.steps.length,
          sent: reports.map(({ there }) => there.sent),
          lostThere: reports.map(({ there }) => there.lost),
          lostBack: reports.map(({ back }) => back.lost),
        })}`,
      );
      const latestMs = Math.max(...reports.map((report) => report.latestMs));
      if (lost.length > 0 && latestMs > latestLimitMs) {
        throw new LabFault(`a sender was ${latestMs} ms late; ${lost.join("; ")}`);
      }
      assert.deepEqual(lost, []);
      assert.ok(steps.length >= 30 && released.steps.length >= 10, "there are steps to look at");
      assert.ok(after - before >= 10, `the pinned guest left by nic1: ${after - before} frames`);
      for (const { there, back } of reports) {
        assert.ok(there.lost <= steps.length / 4, `${there.lost} lost in the making`);
        assert.ok(back.lost <= steps.length / 4, `${back.lost} lost in the making`);
      }
    },
  );
});

/** Frames sent within a span that were lost. */
function lostWithin(direction: Direction, fromMs: number, toMs: number): number {
  const each = INTERVAL_US / 1000;
  let count = 0;
  for (const { atMs, frames } of direction.gaps) {
    for (let frame = 0; frame < frames; frame++) {
      const sentMs = atMs + frame * each;
      if (sentMs >= fromMs && sentMs < toMs) count += 1;
    }
  }
  return count;
}

async function openKernel(): Promise<LinuxKernel> {
  const nothing = () => undefined;
  return LinuxKernel.open({
    onLink: nothing,
    onTrafficControl: nothing,
    onReacted: nothing,
    onOverrun: nothing,
    onFailed: nothing,
  });
}

/** The real kernel, but one step at a time. */
function stepping(real: LinuxKernel, look: (what: string) => Promise<void>): KernelPort {
  return {
    readLinks: () => real.readLinks(),
    readKernel: (teams) => real.readKernel(teams),
    readCounters: (teams) => real.readCounters(teams),
    arm: () => undefined,
    reactions: () => real.reactions(),
    apply: async (steps: readonly Step[]) => {
      const errors: NetlinkError[] = [];
      for (const step of steps) {
        errors.push(...(await real.apply([step])));
        await look(`${step.op} ${kernelKey(step.object)}`);
      }
      return errors;
    },
  };
}

/** The daemon's own loop, with these domains. */
function newLoop(port: KernelPort, domains: readonly DomainShape[]): ControlLoop {
  const directory = mkdtempSync(join(tmpdir(), "uplinkd-steps-"));
  writeFileSync(join(directory, "uplinkd.yaml"), labConfig());
  const loaded = loadAll(directory);
  const registry = new Registry(loaded.config, loaded.policies);
  for (const domain of domains) {
    registry.put(parseDomainXml(domainXml(domain), `domain ${domain.name}`), "running");
  }
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const fail = (error: Error) => {
    throw error;
  };
  return new ControlLoop({
    kernel: port,
    journal: Journal.open(join(directory, "journal.json"), bootId, fail),
    registry,
    log: new EventLog(Date.now, () => undefined),
    now: Date.now,
    loaded,
    observeOnly: false,
    domainsComplete: () => true,
    probes: { paths: new Map(), block: probeBlock("lab") },
    suspect: () => "nobody",
  });
}
