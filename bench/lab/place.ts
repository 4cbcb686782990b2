/** Where the kernel is programmed: in the lab with all there is, or on the machine itself with what its kernel has. */
import type { KernelMap, KernelObject } from "../../src/model/kernel.ts";
import { resetToBare } from "../../test/lab/bare.ts";
import { ip } from "../../test/lab/command.ts";
import { buildHost } from "../../test/lab/host.ts";

export interface Place {
  /** For the names of results. */
  readonly words: string;
  /** Makes bond0, nic0 and nic1. */
  readonly prepare: () => Promise<void>;
  /** What of a plan can be made there. */
  readonly select: (objects: KernelMap) => KernelMap;
}

/** The lab: a real bond, every object of a plan. */
export const lab: Place = {
  words: "in the lab",
  prepare: async () => {
    await resetToBare();
    await buildHost();
  },
  select: (objects) => objects,
};

/**
 * A network namespace of the machine itself, whose kernel may lack bonding, flower and fq_codel: HTB with its classes
 * on two devices that lead nowhere, with plain queues below them.
 */
export const machine: Place = {
  words: "classes and plain queues, on the machine itself",
  prepare: async () => {
    const names = ["nic0", "nic1", "bond0"];
    ip(names.flatMap((name) => [`link add ${name} type ifb`, `link set ${name} up`]));
  },
  select: (objects) =>
    new Map(
      [...objects].flatMap(([key, object]): (readonly [string, KernelObject])[] => {
        if (object.kind === "htb" || object.kind === "class") return [[key, object]];
        if (object.kind !== "leaf") return [];
        return [[key, { ...object, queue: { type: "pfifo", limitPackets: 1000 } }]];
      }),
    ),
};
