/** What names the port of vNICs in the kernel: shared actions, one for "home here, sent by there". */
import type { KernelObject } from "../model/kernel.ts";
import { actionIndex } from "../model/layout.ts";
import type { TeamObjectsInput } from "./objects.ts";
import { wiringOf } from "./steering.ts";

type Put = (object: KernelObject) => void;

/** An uplink's queue id, by which shared actions tell uplinks apart in every mode; 0 for none. */
export function queueOf(input: Pick<TeamObjectsInput, "queueIds">, uplink: string | null): number {
  return uplink === null ? 0 : (input.queueIds.get(uplink) ?? 0);
}

/** Makes the shared action of each home: to itself, or while it is lost to the fallback. */
export function putHomeActions(put: Put, input: TeamObjectsInput): void {
  const { bond } = input.team;
  if (bond === null || wiringOf(input.team).steering === "hash") return;
  for (const { uplink, managed, usable } of input.uplinks) {
    const home = queueOf(input, uplink.name);
    if (!managed || home === 0) continue;
    // With no fallback either, the driver decides: a frame whose port is down goes by its own policy.
    const target = usable || queueOf(input, input.fallback) === 0 ? uplink.name : input.fallback;
    putAction(put, input, actionIndex(bond.ifindex, home, home), target);
  }
}

/**
 * Makes the shared action that a vNIC needs beside those of the homes.
 * @returns the index of the one that its filter refers to; 0 where bonding's hash decides
 */
export function putPin(put: Put, input: TeamObjectsInput, index: number): number {
  const { bond } = input.team;
  if (bond === null || wiringOf(input.team).steering === "hash") return 0;
  const nameOf = (place: number | undefined) => input.uplinks[place ?? -1]?.uplink.name ?? null;
  const carrier = nameOf(input.placement.vias[index]);
  const at = nameOf(input.placement.homes[index]);
  const home = queueOf(input, at);
  const via = queueOf(input, carrier);
  const atHome = input.uplinks[input.placement.homes[index] as number]?.usable === true;
  // The home's own shared action already leads to the fallback: only who goes elsewhere needs one of its own.
  const direct = via === home || via === 0 || (carrier === input.fallback && !atHome);
  const action = actionIndex(bond.ifindex, home, direct ? home : via);
  // A home without a queue id has no shared action of its own: mapping 0 leaves the choice to the bond.
  if (!direct || home === 0) putAction(put, input, action, direct ? at : carrier);
  return action;
}

function putAction(put: Put, input: TeamObjectsInput, index: number, to: string | null): void {
  if (wiringOf(input.team).steering === "queue") {
    put({ kind: "uplink-action", index, queueId: queueOf(input, to) });
    return;
  }
  const target = input.uplinks.find(({ uplink }) => uplink.name === to);
  put({ kind: "port-action", index, toIfindex: target?.uplink.ifindex ?? 0 });
}
