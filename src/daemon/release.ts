/**
 * Restores the host where no daemon runs: by the journal, and by the marks in the kernel. Needs no configuration,
 * which may be the very thing that is broken.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { applySteps } from "../apply/kernel.ts";
import type { ReleaseAnswer } from "../control/api.ts";
import { diffRelease } from "../diff/release.ts";
import type { Problem } from "../model/domain.ts";
import { StateError, type UplinkError } from "../model/errors.ts";
import { kernelKey } from "../model/kernel.ts";
import { dumpKernel, dumpLinks, type TeamDevices } from "../netlink/dump.ts";
import type { Link } from "../netlink/link.ts";
import { RequestSocket } from "../netlink/socket.ts";
import { Journal } from "./journal.ts";
import { knownBefore } from "./unsaved.ts";

/** @throws StateError if there is no room to note that the host is released; NetlinkError without rights */
export async function releaseWithoutDaemon(stateDir: string): Promise<ReleaseAnswer> {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const problems: Problem[] = [];
  const journal = Journal.open(join(stateDir, "journal.json"), bootId, (error) =>
    problems.push(problemOf(error)),
  );
  const socket = RequestSocket.open();
  try {
    // Noted first: a daemon that starts meanwhile stays out.
    journal.write({ released: true, observing: false, unconfirmed: null });
    const links = dumpLinks(socket);
    const { objects, foreignFilters } = dumpKernel(socket, links, bondsOf(links));
    const { before, clsactCreated } = knownBefore(journal.contents, objects);
    const shared = new Set(foreignFilters.map((filter) => filter.device));
    const steps = diffRelease(
      objects,
      before,
      clsactCreated.filter((device) => !shared.has(device)),
    );
    const ifindexes = new Map(links.map((link) => [link.name, link.ifindex]));
    const refused = await applySteps(steps, socket, (name) => ifindexes.get(name));
    if (refused.length === 0) journal.write({ before: [], clsactCreated: [], lost: null });
    problems.push(...refused.map(problemOf));
    for (const { domain, reason } of journal.contents.pauses) {
      problems.push({
        object: `domain ${domain}`,
        message: `is paused by uplinkd: ${reason}`,
        remedy: `virsh resume ${domain}`,
      });
    }
    return { steps: steps.map((step) => `${step.op} ${kernelKey(step.object)}`), problems };
  } finally {
    socket.close();
  }
}

/** What could not be put back, for a person. */
export function problemOf(error: UplinkError): Problem {
  const remedy =
    error instanceof StateError
      ? "see what is kept beside the journal"
      : "run `uplinkctl release` again, or `sh release.sh` in uplinkd's state directory";
  return { object: error.object, message: error.message, remedy };
}

/**
 * Every bond with its ports, and on its own every other NIC: what carries our marks is ours wherever it is, also on
 * an uplink that has left its bond.
 */
function bondsOf(links: readonly Link[]): readonly TeamDevices[] {
  const bonds = links.filter((link) => link.bond !== null);
  const inBond = new Set<number>(bonds.map((bond) => bond.ifindex));
  const loose = links.filter((link) => link.kind === "" && !inBond.has(link.masterIfindex));
  return [
    ...bonds.map((bond) => ({
      bond: bond.name,
      ports: links.filter((link) => link.masterIfindex === bond.ifindex).map((link) => link.name),
    })),
    { bond: "", ports: loose.map((link) => link.name) },
  ];
}
