/** The control loop over a kernel in memory and a journal on disk. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "../../../src/daemon/journal.ts";
import { ControlLoop } from "../../../src/daemon/loop.ts";
import { Registry } from "../../../src/daemon/registry.ts";
import type { DomainDefinition } from "../../../src/model/domain.ts";
import { type PathState, probeBlock } from "../../../src/model/probe.ts";
import { loadAll } from "../../../src/policy/load.ts";
import { macOf, NOW } from "../world.ts";
import { FakeKernel, fakeLog } from "./fake.ts";

/** A host that outlives the daemon's runs on it. */
export class LoopHost {
  readonly directory = mkdtempSync(join(tmpdir(), "uplinkd-loop-"));
  readonly kernel = new FakeKernel();
  /** Whether libvirt has told of all domains. */
  complete = true;
  paths: ReadonlyMap<string, PathState> = new Map();
  nowMs = NOW;

  /** A run of the daemon over this kernel and this disk. @returns with what was said of the journal when it was opened */
  start() {
    const host = this;
    const loaded = loadAll(join(this.directory, "no-such-directory"));
    const complaints: string[] = [];
    const journal = Journal.open(join(this.directory, "journal.json"), "boot", ({ message }) => {
      complaints.push(message);
    });
    const registry = new Registry(loaded.config, loaded.policies);
    const { log, lines } = fakeLog();
    const loop = new ControlLoop({
      kernel: this.kernel,
      journal,
      registry,
      log,
      now: () => this.nowMs,
      loaded,
      observeOnly: false,
      domainsComplete: () => this.complete,
      probes: {
        get paths() {
          return host.paths;
        },
        block: probeBlock("host"),
      },
      suspect: (device) => `NetworkManager (it has ${device})`,
    });
    return { loop, journal, registry, lines, complaints };
  }

  /** The steps of the latest batch, each as `op key`. */
  lastApplied(): readonly string[] {
    return this.kernel.applied.at(-1) ?? [];
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** vmN with one interface in br0. */
export function domain(number: number): DomainDefinition {
  return {
    name: `vm${number}`,
    uuid: `uuid${number}`,
    vnics: [
      {
        mac: macOf(number),
        attachment: { kind: "bridge", bridge: "br0" },
        vlanIds: [0],
        tap: null,
        libvirtLimitBitsPerSecond: null,
        hasLibvirtBandwidth: false,
      },
    ],
    annotation: null,
    owner: null,
    problems: [],
  };
}
