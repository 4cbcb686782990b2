/**
 * Proof that a test can fail. A test of enforcement names ways to break what it relies on; `npm run test:sabotage`
 * runs it once for each, breaks the kernel's state that way in its middle, and expects it to turn red.
 */
import { CommandError, ip, readJson, run, tc } from "./command.ts";
import type { Daemon } from "./daemon.ts";
import { LabFault } from "./fault.ts";
import { readClassCounts, uplinkNames } from "./host.ts";
import { isLong } from "./long.ts";

/** Where a vNIC is, as the kernel's own filter says. */
interface Pin {
  readonly classId: string;
  readonly home: string;
  /** Index of the shared action that names its port. */
  readonly action: string;
}

/** What each does to the state that a daemon has installed on bond0 and the lab's uplinks, with tc and ip. */
const SABOTAGES = {
  "promiscuity off": () => ip(uplinkNames().map((uplink) => `link set ${uplink} promisc off`)),
  "queue ids gone": () =>
    ip(uplinkNames().map((uplink) => `link set ${uplink} type bond_slave queue_id 0`)),
  "catch-all gone": () => tc(["filter del dev bond0 egress pref 7570"]),
  "vNIC filters gone": () => tc(["filter del dev bond0 egress pref 7568"]),
  /** What others send with a vNIC's address then goes its way, in the default class. */
  "forged filters gone": () => tc(["filter del dev bond0 egress chain 7583 pref 7584"]),
  "report filters gone": () => tc(["filter del dev bond0 egress chain 7572 pref 7572"]),
  "host matches gone": () => tc(["filter del dev bond0 egress chain 7574"]),
  "host sources gone": () => tc(["filter del dev bond0 egress pref 7574"]),
  /** What others send with the host's address is then taken for its own. */
  "passed-on filters gone": () => tc(["filter del dev bond0 egress pref 7573"]),
  "host reservations gone": () =>
    tc(
      uplinkNames().flatMap((uplink) =>
        [...readClassCounts(uplink)]
          .filter(([classId]) => /^7570:fff[234]$/.test(classId))
          .map(
            ([classId, { ceilBitsPerSecond, prio }]) =>
              `class change dev ${uplink} parent 7570:1 classid ${classId} htb rate 8kbit ceil ${ceilBitsPerSecond}bit prio ${Math.max(prio, 6)}`,
          ),
      ),
    ),
  "reflection filters gone": () => deleteOnPorts("ingress", [7575]),
  "inbound limits gone": () => tc(["filter del dev bond0 ingress pref 7586"]),
  "probe guards gone": () => deleteOnPorts("ingress", [7581, 7582]),
  "redirect filters gone": () => deleteOnPorts("ingress", [7576]),
  "control filters gone": () => deleteOnPorts("parent 7570:", [7577, 7578, 7579]),
  /** vNICs then go by the bond's own choice, the active port. */
  "pins gone": () =>
    tc(
      [...new Set(readPins().map((pin) => pin.action))].map(
        (action) => `actions change action skbedit queue_mapping 0 index ${action}`,
      ),
    ),
  /** Where vNICs are redirected to their ports: all by the last one then. */
  "redirects astray": () => {
    const [port = ""] = uplinkNames().slice(-1);
    const indexes = run("tc", "actions", "show", "action", "mirred").matchAll(
      /Egress Redirect[\s\S]*?index (\d+)/g,
    );
    const lines = [...indexes].map(
      ([, index]) =>
        `actions replace action mirred egress redirect dev ${port} index ${index} skip_hw`,
    );
    if (lines.length === 0) throw new LabFault("there is no redirect");
    tc(lines);
  },
  "home classes gone": () =>
    tc(readPins().map(({ home, classId }) => `class del dev ${home} classid ${classId}`)),
  "standby classes gone": () =>
    tc(
      readPins().flatMap(({ home, classId }) =>
        uplinkNames()
          .filter((uplink) => uplink !== home)
          .map((uplink) => `class del dev ${uplink} classid ${classId}`),
      ),
    ),
  /** HTB then lets out directly what no class takes. */
  "default classes gone": () =>
    tc(uplinkNames().map((uplink) => `class del dev ${uplink} classid 7570:fff0`)),
  "limits lifted": () =>
    changeClasses(({ rate, prio }) => `rate ${rate}bit ceil 1gbit prio ${prio}`),
  "reservations gone": () =>
    changeClasses(({ ceil, prio }) => `rate 8kbit ceil ${ceil}bit prio ${prio}`),
  "priorities equal": () =>
    changeClasses(({ rate, ceil }) => `rate ${rate}bit ceil ${ceil}bit prio 3`),
  "shares equal": () =>
    changeClasses(
      ({ rate, ceil, prio }) => `rate ${rate}bit ceil ${ceil}bit prio ${prio} quantum 4000`,
    ),
  /** The line then limits, not the shaper. */
  "capacity lifted": () =>
    tc(
      uplinkNames().map(
        (uplink) => `class change dev ${uplink} classid 7570:1 htb rate 1gbit ceil 1gbit`,
      ),
    ),
} as const satisfies Readonly<Record<string, () => void>>;

export type SabotageName = keyof typeof SABOTAGES;

export const sabotageNames = Object.keys(SABOTAGES) as readonly SabotageName[];

/** This run breaks what tests rely on. */
export const isSabotaged = (process.env.UPLINKD_SABOTAGE ?? "") !== "";

/** Titles of tests that run sabotaged begin with this. */
export const sabotagedPrefix = "sabotaged: ";

/** Breaks nothing: shows that a test is not red for the frozen daemon alone. */
const CONTROL = "nothing";

/**
 * The place in a test where sabotage comes in: after the daemon has installed, before what is asserted. Does
 * nothing in an ordinary run. In a sabotaged one the daemon, which would mend what is broken, stands still from
 * here to the test's end: what is to be asked of it has been asked by now. null: there is no daemon any more.
 */
export type Strike = (daemon: Daemon | null) => void;

/**
 * `it` for a test of enforcement. Its body calls `strike` once.
 * @returns the test, for `.timeout(ms)`; of a sabotaged run the last one
 */
export function itEnforces(
  title: string,
  {
    sabotage,
    timeoutMs,
    long = false,
  }: {
    readonly sabotage: readonly SabotageName[];
    readonly timeoutMs?: number;
    /** Takes long: in an ordinary run only where that is asked for. */
    readonly long?: boolean;
  },
  body: (strike: Strike) => Promise<void>,
): void {
  const declare = (name: string, run: () => Promise<void>) => {
    const test = it(name, run);
    if (timeoutMs !== undefined) test.timeout(timeoutMs);
  };
  const wanted = process.env.UPLINKD_SABOTAGE;
  if (!isSabotaged) {
    if (long && !isLong) return;
    declare(title, () => body(() => undefined));
    return;
  }
  for (const name of [CONTROL, ...sabotage] as const) {
    if (wanted !== "all" && wanted !== name) continue;
    declare(`${sabotagedPrefix}${name}: ${title}`, () => runSabotaged(name, body));
  }
}

async function runSabotaged(
  name: SabotageName | typeof CONTROL,
  body: (strike: Strike) => Promise<void>,
): Promise<void> {
  const frozen: Daemon[] = [];
  let struck = false;
  const strike: Strike = (daemon) => {
    if (daemon !== null && daemon.process.exitCode === null && daemon.process.signalCode === null) {
      daemon.process.kill("SIGSTOP");
      frozen.push(daemon);
    }
    if (name !== CONTROL) SABOTAGES[name]();
    struck = true;
  };
  try {
    await body(strike);
  } catch (error) {
    // Only what a test found out by itself counts; a broken lab or a command that failed says nothing.
    if (!struck || name === CONTROL || error instanceof LabFault || error instanceof CommandError)
      throw error;
    console.log(`      red, as it should: ${firstLine(error)}`);
    return;
  } finally {
    for (const daemon of frozen) daemon.process.kill("SIGCONT");
  }
  if (!struck) throw new Error("the test never called strike()");
  if (name !== CONTROL) throw new Error(`the test stays green with '${name}'`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

function deleteOnPorts(hook: "ingress" | "parent 7570:", priorities: readonly number[]): void {
  tc(
    uplinkNames().flatMap((uplink) =>
      priorities.map((priority) => `filter del dev ${uplink} ${hook} pref ${priority}`),
    ),
  );
}

/** vNIC classes of every uplink with other parameters; quanta stay as they are. */
function changeClasses(
  parameters: (now: {
    readonly rate: number;
    readonly ceil: number;
    readonly prio: number;
  }) => string,
): void {
  const lines: string[] = [];
  for (const uplink of uplinkNames()) {
    for (const [classId, counts] of readClassCounts(uplink)) {
      const minor = Number.parseInt(classId.slice("7570:".length), 16);
      if (!classId.startsWith("7570:") || minor < 0x10 || minor >= 0xfff0) continue;
      const words = parameters({
        rate: counts.rateBitsPerSecond,
        ceil: counts.ceilBitsPerSecond,
        prio: counts.prio,
      });
      lines.push(`class change dev ${uplink} parent 7570:1 classid ${classId} htb ${words}`);
    }
  }
  if (lines.length === 0) throw new LabFault("there are no classes to change");
  tc(lines);
}

/** Every vNIC's class, home and shared action, from the bond's filters and the ports' queue ids. */
function readPins(): readonly Pin[] {
  interface Port {
    readonly ifname: string;
    readonly linkinfo?: { readonly info_slave_data?: { readonly queue_id?: number } };
  }
  const homes = new Map(
    readJson<Port>("ip", "-d link show").flatMap(({ ifname, linkinfo }) => {
      const queueId = linkinfo?.info_slave_data?.queue_id ?? 0;
      return queueId === 0 ? [] : [[queueId, ifname] as const];
    }),
  );
  const text = run("tc", "-s", "filter", "show", "dev", "bond0", "egress", "pref", "7568");
  const pins = text.split(/^filter /m).flatMap((filter): Pin[] => {
    const classId = /priority (7570:[0-9a-f]+)/.exec(filter)?.[1];
    const queue = /queue_mapping (\d+)[\s\S]*?index (\d+)/.exec(filter);
    const home = homes.get(Number(queue?.[1] ?? 0));
    if (classId === undefined || queue === null || home === undefined) return [];
    return [{ classId, home, action: queue[2] ?? "" }];
  });
  if (pins.length === 0) throw new LabFault(`no vNIC's filter on bond0: ${text}`);
  return pins;
}
