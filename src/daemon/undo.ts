/**
 * What is left on disk so that things can be undone without this program: a tc batch a domain, which the hook runs
 * when no daemon answers, and a shell script that releases the host.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeUndo } from "../hook/undo.ts";
import { UplinkError } from "../model/errors.ts";
import { chainOf, FILTER_PRIORITY, HOST_CHAIN, SOURCES_CHAIN } from "../model/filter-priority.ts";
import { actionIndex, MAX_QUEUE_ID } from "../model/layout.ts";
import type { Plan } from "../model/plan.ts";
import type { World } from "../model/world.ts";
import { judgesSources } from "../plan/sources.ts";
import type { EventLog } from "./events.ts";
import type { JournalContents } from "./journal.ts";

/** What was last written of each file: unchanged ones aren't written again. */
const written = new Map<string, string>();

/** Writes each domain's undo: its filters first, so that its frames fall to the default class. */
export function writeUndos(runDir: string, world: World, plan: Plan, log: EventLog): void {
  const names = new Set(world.domains.map((domain) => domain.name));
  for (const name of names) {
    const lines = plan.vnics
      .filter((vnic) => vnic.domain === name)
      .flatMap((vnic) => {
        const team = world.teams.find((candidate) => candidate.config.name === vnic.team);
        const filter = plan.kernel.get(`vnic ${team?.config.bond ?? ""} ${vnic.mac}`);
        const ports = vnic.classes.map((grant) => grant.uplink);
        const minor = `7570:${vnic.minor.toString(16)}`;
        const classes = ports.map((port) => `class del dev ${port} classid ${minor}`);
        if (filter?.kind !== "vnic") return classes;
        const handle = `0x${filter.handle.toString(16)}`;
        const flower = (device: string, hook: string, priority: number) => {
          const chain = chainOf(priority);
          const at = chain === 0 ? hook : `${hook} chain ${chain}`;
          return `filter del dev ${device} ${at} protocol all pref ${priority} handle ${handle} flower`;
        };
        const { ownTap, macvtap } = FILTER_PRIORITY;
        const sender =
          filter.from === undefined
            ? []
            : [flower(filter.device, "egress", filter.from === null ? macvtap : ownTap)];
        return [
          flower(filter.device, "egress", FILTER_PRIORITY.vnic),
          ...sender,
          ...(plan.kernel.has(`inbound ${filter.device} ${vnic.mac}`)
            ? [flower(filter.device, "ingress", FILTER_PRIORITY.inbound)]
            : []),
          ...ports.map((port) => flower(port, "ingress", FILTER_PRIORITY.redirect)),
          ...ports.map((port) => flower(port, "ingress", FILTER_PRIORITY.reflection)),
          ...classes,
        ];
      });
    const text = lines.join("\n");
    if (written.get(`undo ${name}`) === text) continue;
    try {
      writeUndo(runDir, name, lines);
      written.set(`undo ${name}`, text);
    } catch (error) {
      if (!(error instanceof UplinkError)) throw error;
      tellOnce(log, `${error.object}: ${error.message}`);
    }
  }
  for (const key of written.keys()) {
    if (key.startsWith("undo ") && !names.has(key.slice("undo ".length))) written.delete(key);
  }
}

/** Writes release.sh beside the journal: the exact reverse of installing, in tc's and ip's own words. */
export function writeReleaseScript(
  stateDir: string,
  world: World,
  saved: JournalContents,
  log: EventLog,
): void {
  const text = renderReleaseScript(world, saved);
  if (written.get("release") === text) return;
  const path = join(stateDir, "release.sh");
  try {
    if (readText(path) !== text) {
      writeFileSync(`${path}.new`, text, { mode: 0o700, flush: true });
      renameSync(`${path}.new`, path);
    }
    written.set("release", text);
    for (const key of written.keys()) if (key.startsWith("failed ")) written.delete(key);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tellOnce(log, `${path}: ${message}`);
  }
}

/** A full disk is tried again at every run, and told once until it was written. */
function tellOnce(log: EventLog, message: string): void {
  const key = `failed ${message}`;
  if (written.has(key)) return;
  written.set(key, message);
  log.tell("warning", "undo-unwritten", message);
}

/** The script's text. Names of devices come from the kernel, which allows no quotes, spaces or slashes in them. */
export function renderReleaseScript(world: World, saved: JournalContents): string {
  const lines = [
    "#!/bin/sh",
    "# Takes everything away that uplinkd has put into the kernel, and puts back what was before.",
    "# Needs tc and ip only. Stop uplinkd first: systemctl stop uplinkd",
    'quiet() { "$@" 2>/dev/null || :; }',
  ];
  const { bonds, ports } = devicesOf(world);
  const drop = (device: string, hook: string, priority: number) => {
    const chain = chainOf(priority);
    const at = chain === 0 ? hook : `${hook} chain ${chain}`;
    lines.push(`quiet tc filter del dev ${device} ${at} pref ${priority}`);
  };
  const judging = world.teams.filter((team) => judgesSources(team.config));
  for (const bond of bonds) {
    const judges = judging.some((team) => team.bond?.name === bond.name);
    // Nobody's frames may be dropped for their address while addresses are forgotten.
    if (judges) drop(bond.name, "egress", FILTER_PRIORITY.passedOn);
    if (judges) drop(bond.name, "egress", FILTER_PRIORITY.declared);
    drop(bond.name, "egress", FILTER_PRIORITY.vnic);
    if (judges) lines.push(`quiet tc filter del dev ${bond.name} egress chain ${SOURCES_CHAIN}`);
  }
  for (const object of saved.before) {
    if (object.kind === "port-queue") {
      lines.push(
        `quiet ip link set dev ${object.device} type bond_slave queue_id ${object.queueId}`,
      );
    }
    if (object.kind === "bond-option") {
      lines.push(`quiet ip link set dev ${object.bond} type bond updelay ${object.updelayMs}`);
    }
  }
  for (const object of saved.before) {
    if (object.kind !== "promiscuity") continue;
    lines.push(`quiet ip link set dev ${object.device} promisc ${object.on ? "on" : "off"}`);
  }
  for (const port of ports) {
    drop(port, "ingress", FILTER_PRIORITY.probeFrom);
    drop(port, "ingress", FILTER_PRIORITY.probeTo);
    drop(port, "ingress", FILTER_PRIORITY.redirect);
    drop(port, "ingress", FILTER_PRIORITY.reflection);
  }
  for (const bond of bonds) {
    drop(bond.name, "ingress", FILTER_PRIORITY.inbound);
    drop(bond.name, "egress", FILTER_PRIORITY.hostSource);
    drop(bond.name, "egress", FILTER_PRIORITY.passedOn);
    lines.push(`quiet tc filter del dev ${bond.name} egress chain ${HOST_CHAIN}`);
    drop(bond.name, "egress", FILTER_PRIORITY.reports);
    drop(bond.name, "egress", FILTER_PRIORITY.catchAll);
  }
  for (const port of ports) {
    drop(port, "egress", FILTER_PRIORITY.queueReset);
    for (const offset of [2, 1, 0]) drop(port, "egress", FILTER_PRIORITY.control + offset);
    lines.push(
      `tc qdisc show dev ${port} root | grep -q 'htb 7570:' && quiet tc qdisc del dev ${port} root`,
    );
  }
  for (const device of saved.clsactCreated) {
    // Another program may have put filters of its own beside ours.
    const left = ["ingress", "egress"].map((hook) => `tc filter show dev ${device} ${hook}`);
    lines.push(
      `[ -z "$({ ${left.join("; ")}; } 2>/dev/null)" ] && quiet tc qdisc del dev ${device} clsact`,
    );
  }
  for (const bond of bonds) {
    const queues = Math.min(MAX_QUEUE_ID, ports.length);
    lines.push(
      `for home in $(seq 1 ${queues}); do for via in $(seq 1 ${queues}); do`,
      `  quiet tc actions del action skbedit index $((${actionIndex(bond.ifindex, 0, 0)} + home * 16 + via))`,
      "done; done",
    );
  }
  lines.push("exit 0", "");
  return lines.join("\n");
}

function devicesOf(world: World) {
  return {
    bonds: world.teams.flatMap((team) => (team.bond === null ? [] : [team.bond])),
    ports: world.teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name)),
  };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
