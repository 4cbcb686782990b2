/** The difference between what should stand in the kernel and what does, as ordered steps. Pure. */
import { FORMER_VNIC_PRIORITY } from "../model/filter-priority.ts";
import type { KernelMap, KernelObject } from "../model/kernel.ts";
import { differingKeys } from "../model/kernel-delta.ts";
import { ROOT_MINOR } from "../model/layout.ts";
import { sameObject } from "../model/same-object.ts";
import type { Step } from "../model/step.ts";

/**
 * The steps from `present` to `desired`. Running them in order keeps traffic flowing after each: a queue stands
 * before a filter names it, the catch-all before queue ids exist; withdrawing goes the exact other way round.
 * Settings without an owner's mark (promiscuity, queue ids, clsact, bond options, active port) are left alone
 * where the plan doesn't speak of them: releasing names their former values.
 */
export function diffKernel(present: KernelMap, desired: KernelMap): Step[] {
  // Two maps told by the same whole one are not looked through for what is the same.
  const differing = differingKeys(present, desired);
  const found = findDifferences(present, desired, differing, NOTHING_GONE);
  const gone = goneWithTheirParents(present, found.changes);
  // What the kernel takes away with its parent is made anew although it is the same.
  const { changes, deletes } =
    gone.size === 0 ? found : findDifferences(present, desired, null, gone);
  freeClasses(present, changes);
  const isStrange = ({ object }: Step) =>
    object.kind === "unknown-filter" && object.priority !== FORMER_VNIC_PRIORITY;
  const strange = deletes.filter(isStrange);
  const others = sortSteps(withoutVanishing(deletes.filter((step) => !isStrange(step))), -1);
  const made = sortGroups(changes, 1);
  // What has the form of another version stands where ours is to be, by whatever handle: it goes before any of ours comes.
  const firstFilter = made.findIndex(({ object }) => RANK[object.kind] > RANK.clsact);
  const at = firstFilter < 0 ? made.length : firstFilter;
  return [...made.slice(0, at), ...strange, ...made.slice(at), ...others];
}

const NOTHING_GONE: ReadonlySet<string> = new Set();

/** Steps that belong together, by what they are for. */
interface Differences {
  readonly changes: readonly Step[][];
  readonly deletes: readonly Step[];
}

/**
 * @param keys of what may differ; null: everything may
 * @param gone keys of what stands in `present` and won't when its turn comes
 */
function findDifferences(
  present: KernelMap,
  desired: KernelMap,
  keys: Iterable<string> | null,
  gone: ReadonlySet<string>,
): Differences {
  const changes: Step[][] = [];
  const deletes: Step[] = [];
  const judge = (object: KernelObject, before: KernelObject | undefined): void => {
    if (before === undefined) changes.push([{ op: "add", object }]);
    else if (before !== object && !sameObject(before, object)) {
      if (needsRebuild(before, object)) {
        changes.push([
          { op: "delete", object: before },
          { op: "add", object },
        ]);
      } else changes.push([{ op: "change", object, before }]);
    }
  };
  const vanish = (object: KernelObject): void => {
    if (isMarked(object)) deletes.push({ op: "delete", object });
  };
  if (keys === null) {
    for (const [key, object] of desired)
      judge(object, gone.has(key) ? undefined : present.get(key));
    for (const [key, object] of present) if (!desired.has(key)) vanish(object);
  } else {
    for (const key of keys) {
      const object = desired.get(key);
      const before = present.get(key);
      if (object !== undefined) judge(object, before);
      else if (before !== undefined) vanish(before);
    }
  }
  return { changes, deletes };
}

/**
 * Keys of what the kernel takes away when a qdisc or class above it has to be made anew: all classes, leaves and
 * filters of a qdisc, the leaf of a class.
 */
function goneWithTheirParents(present: KernelMap, changes: readonly Step[][]): ReadonlySet<string> {
  const devices = new Set<string>();
  const classes = new Set<string>();
  for (const steps of changes) {
    const first = steps[0];
    if (steps.length < 2 || first === undefined) continue;
    if (first.object.kind === "htb") devices.add(first.object.device);
    else if (first.object.kind === "class") classes.add(classOf(first.object));
  }
  if (devices.size + classes.size === 0) return NOTHING_GONE;
  const gone = new Set<string>();
  for (const [key, object] of present) {
    if (object.kind === "class" && devices.has(object.device)) gone.add(key);
    if (object.kind === "control" && (devices.has(object.device) || classes.has(classOf(object))))
      gone.add(key);
    if (object.kind !== "leaf") continue;
    if (devices.has(object.device) || classes.has(classOf(object))) gone.add(key);
  }
  return gone;
}

/** A class that a filter names can't be deleted (htb_delete: EBUSY): the filter goes first where its class is made anew. */
function freeClasses(present: KernelMap, changes: readonly Step[][]): void {
  for (const steps of changes) {
    const [first] = steps;
    if (steps.length < 2 || first?.object.kind !== "class") continue;
    const rebuilt = classOf(first.object);
    for (const object of present.values())
      if (object.kind === "control" && classOf(object) === rebuilt)
        steps.unshift({ op: "delete", object });
  }
}

/**
 * Leaves out what vanishes by itself with something else that is deleted: leaves with their class, classes with
 * their qdisc (each deletion of a class costs time in proportion to the classes there are), filters on a port with
 * its clsact or their HTB. vNICs' filters go one by one, since they must go before the queue ids.
 */
export function withoutVanishing(deletes: readonly Step[]): Step[] {
  const qdiscs = new Set<string>();
  const hooks = new Set<string>();
  const classes = new Set<string>();
  for (const { op, object } of deletes) {
    if (op !== "delete") continue;
    if (object.kind === "htb") qdiscs.add(object.device);
    if (object.kind === "clsact") hooks.add(object.device);
    if (object.kind === "class") classes.add(classOf(object));
  }
  return deletes.filter(({ op, object }) => {
    if (op !== "delete") return true;
    switch (object.kind) {
      case "leaf":
        return !classes.has(classOf(object)) && !qdiscs.has(object.device);
      case "class":
      case "control":
        return !qdiscs.has(object.device);
      // What drops frames for their address goes before the addresses are forgotten.
      case "passed-on":
        return object.drops === true || !hooks.has(object.device);
      case "catch-all":
      case "reports":
      case "forged":
      case "declared":
      case "host-source":
      case "host-match":
      case "queue-reset":
      case "reflection":
      case "redirect":
      case "inbound":
      case "probe-guard":
        return !hooks.has(object.device);
      default:
        return true;
    }
  });
}

function classOf({ device, minor }: { readonly device: string; readonly minor: number }): string {
  return `${device} ${minor}`;
}

/** Order of installing; see docs/architecture.md, "Safe order". Urgent at a loss first: both exist by then. */
const RANK: Readonly<Record<KernelObject["kind"], number>> = {
  "active-port": 0,
  "uplink-action": 1,
  "port-action": 1,
  htb: 2,
  class: 3,
  leaf: 4,
  clsact: 5,
  control: 6,
  "queue-reset": 7,
  "catch-all": 8,
  reports: 9,
  // Who is kept out comes before who is let in, and both before what they are let in to is named.
  "host-match": 10,
  "passed-on": 11,
  "host-source": 12,
  reflection: 13,
  redirect: 14,
  inbound: 14,
  "probe-guard": 15,
  promiscuity: 16,
  "bond-option": 17,
  "port-queue": 18,
  vnic: 19,
  declared: 19,
  // Whose address it is stands before anybody is told that it isn't his.
  forged: 20,
  "unknown-filter": 21,
};

/**
 * Within the classes: a parent before its children, and cuts before raises, so that rates never sum to more
 * than the capacity on the way.
 */
function rank(step: Step): number {
  const { object } = step;
  // A frame is dropped for its address only once those are let in that have one.
  const isLate = object.kind === "passed-on" && object.drops === true;
  const base = RANK[isLate ? "forged" : object.kind] * 4;
  // Whose data was discarded and no longer is gets a queue before any frame is led there.
  if (object.kind === "leaf" && step.op === "change" && object.queue.type !== "blackhole") return 0;
  if (object.kind !== "class" || object.minor === ROOT_MINOR) return base;
  if (step.op === "change" && step.before.kind === "class") {
    return base + (object.rateBitsPerSecond <= step.before.rateBitsPerSecond ? 1 : 2);
  }
  return base + 3;
}

/** Orders steps by installing (1) or by withdrawing (-1). */
export function sortSteps(steps: readonly Step[], direction: 1 | -1): Step[] {
  return sortGroups(
    steps.map((step) => [step]),
    direction,
  );
}

/** The same for steps that follow each other at once; the last tells where they belong. */
function sortGroups(groups: readonly Step[][], direction: 1 | -1): Step[] {
  return groups
    .map((steps) => ({ steps, rank: rank(steps.at(-1) as Step) }))
    .sort((a, b) => direction * (a.rank - b.rank))
    .flatMap((group) => group.steps);
}

/** Whether presence alone shows that it is ours. */
export function isMarked(object: KernelObject): boolean {
  switch (object.kind) {
    case "promiscuity":
    case "port-queue":
    case "clsact":
    case "bond-option":
    case "active-port":
      return false;
    default:
      return true;
  }
}

/** What the kernel can't change in place. */
function needsRebuild(before: KernelObject, after: KernelObject): boolean {
  if (before.kind !== after.kind) return true;
  if (before.kind === "class" && after.kind === "class")
    return before.parentMinor !== after.parentMinor;
  if ("handle" in before && "handle" in after) return before.handle !== after.handle;
  // Flower takes no other mask for a filter that stands (fl_change: EINVAL); another class it does.
  if (before.kind === "host-match" && after.kind === "host-match")
    return !sameObject({ ...before, minor: after.minor }, after);
  // sch_htb.c has no change operation: another default class means another qdisc.
  return before.kind === "htb";
}
