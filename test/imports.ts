/**
 * Holds who may import whom. Each ban has its reason; a file that breaks one is named with the line.
 * Run by `npm run check`; exits 1 if anything is broken.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";

interface Rule {
  /** Path prefixes below src/ that the rule binds. */
  readonly from: readonly string[];
  /** Path prefixes below src/, or package names, that they may import; everything else is banned. */
  readonly may: readonly string[];
  readonly reason: string;
}

const IO_ROOMS = ["netlink", "libvirt", "packet", "hook", "control", "apply"];

const RULES: readonly Rule[] = [
  {
    from: ["model/"],
    may: ["model/"],
    reason: "nouns stand alone, so that every room can speak them",
  },
  ...["plan/", "diff/", "observe/"].map((room) => ({
    from: [room],
    may: ["model/", room],
    reason: "they are pure and speak in nouns: no clock, no I/O, no logger, none of each other",
  })),
  {
    from: ["policy/match.ts"],
    may: ["model/", "policy/"],
    reason: "matching is pure, and simulated as it is enforced",
  },
  {
    from: ["policy/"],
    may: ["model/", "policy/", "node:fs", "node:path", "node:url", "yaml", "zod"],
    reason: "policies are read from files and from nothing else",
  },
  ...IO_ROOMS.filter((room) => room !== "apply").map((room) => ({
    from: [`${room}/`],
    may: ["model/", "native/", `${room}/`, "node:", "koffi", "saxes", "dbus-native", "zod"],
    reason:
      "rooms that do I/O don't know each other: the daemon joins them, tests take them one by one",
  })),
  {
    from: ["apply/"],
    may: ["model/", "native/", "netlink/", "apply/", "node:"],
    reason: "applying turns steps into netlink messages; it knows no libvirt and no policy",
  },
  {
    from: ["native/"],
    may: ["native/", "model/", "koffi", "node:"],
    reason: "FFI and nothing else",
  },
];

const root = normalize(join(import.meta.dirname, "..", "src"));
const broken: string[] = [];
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
  const path = join(entry.parentPath, entry.name);
  checkFile(relative(root, path).split(sep).join("/"), path);
}
for (const line of broken) console.error(line);
if (broken.length > 0) process.exit(1);

function checkFile(name: string, path: string): void {
  const text = readFileSync(path, "utf8");
  const rules = RULES.filter((rule) => rule.from.some((prefix) => name.startsWith(prefix)));
  const lines = text.split("\n");
  if (lines.length > 420)
    broken.push(`src/${name}: ${lines.length} lines; a file has about 400 at most`);
  for (const match of text.matchAll(/(?:^|\n)\s*(?:import|export)[^;]*?from\s+"([^"]+)"/g)) {
    const target = match[1] ?? "";
    const resolved = target.startsWith(".")
      ? relative(root, normalize(join(dirname(path), target)))
          .split(sep)
          .join("/")
      : target;
    const line = text.slice(0, (match.index ?? 0) + match[0].length).split("\n").length;
    for (const rule of rules) {
      if (rule.may.some((prefix) => resolved.startsWith(prefix))) continue;
      broken.push(`src/${name}:${line}: imports ${resolved}: ${rule.reason}`);
    }
  }
}
