/**
 * Builds the Debian package, which carries its own runtime: `npm run package`, or
 *
 *   node packaging/package.ts [--arch amd64|arm64] [--version VERSION] [--compression xz|zstd|none] [--out DIR]
 *
 * Needs dpkg-deb, and dist/ (node packaging/build.ts). The same sources give the same bytes.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { VERSION } from "../src/model/version.ts";
import { ARCHITECTURES, type Architecture, installFiles, listFiles } from "./layout.ts";

const repository = join(import.meta.dirname, "..");
const debian = join(import.meta.dirname, "debian");
/** As Debian's tools have it; deb(5) wants one. */
const { DEBFULLNAME: name = "uplinkd maintainers", DEBEMAIL: email = "uplinkd@localhost" } =
  process.env;
const MAINTAINER = `${name} <${email}>`;

/** What the runtime is linked with, besides what uplinkd works with. */
const DEPENDS = [
  "libvirt-daemon-system",
  "libvirt-dbus",
  // By the newest symbol versions that the runtime asks for: GLIBC_2.28, GLIBCXX_3.4.21.
  ...["libc6 (>= 2.28)", "libgcc-s1", "libstdc++6 (>= 5)", "libatomic1"],
  // The hook and release.sh: tc and ip. The unit's user: systemd-sysusers.
  ...["iproute2", "systemd"],
];

interface Choice {
  readonly architecture: Architecture;
  readonly version: string;
  readonly compression: string;
  readonly out: string;
}

function main(): void {
  const choice = parseChoice();
  const dateSeconds = sourceDateSeconds();
  const work = mkdtempSync(join(tmpdir(), "uplinkd-package-"));
  try {
    const modules = findModules(choice.architecture, work);
    const root = join(work, "root");
    const files = listFiles({ architecture: choice.architecture, modules, dateSeconds });
    installFiles(root, files, false);
    writeDocuments(root, choice.version, dateSeconds, modules);
    const conffiles = files.flatMap(({ path }) => (path.startsWith("/etc/") ? [path] : []));
    writeControl(root, choice, conffiles);
    mkdirSync(choice.out, { recursive: true });
    const deb = join(choice.out, `uplinkd_${choice.version}_${choice.architecture}.deb`);
    // The runtime is nearly all of it; level 6 takes three times as long for a tenth less.
    const compress = [`-Z${choice.compression}`, ...(choice.compression === "none" ? [] : ["-z2"])];
    execFileSync("dpkg-deb", ["--root-owner-group", ...compress, "-b", root, deb], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(dateSeconds) },
      stdio: ["ignore", "ignore", "inherit"],
    });
    process.stdout.write(`${deb}: ${Math.round(statSync(deb).size / 1e6)} MB\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function parseChoice(): Choice {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", default: "amd64" },
      version: { type: "string", default: VERSION },
      compression: { type: "string", default: "xz" },
      out: { type: "string", default: join(repository, "dist") },
    },
  });
  if (!Object.hasOwn(ARCHITECTURES, values.arch)) {
    throw new Error(`--arch ${values.arch}: one of ${Object.keys(ARCHITECTURES).join(", ")}`);
  }
  return { ...values, architecture: values.arch as Architecture };
}

/** When the sources were last changed: what is built from them has that date, whenever that is done. */
export function sourceDateSeconds(): number {
  const { SOURCE_DATE_EPOCH: stated } = process.env;
  if (stated !== undefined) return Number(stated);
  const told = execFileSync("git", ["log", "-1", "--format=%ct"], {
    cwd: repository,
    encoding: "utf8",
  });
  return Number(told);
}

/**
 * Where the npm packages for an architecture are: here if this machine is of that kind; else npm fetches them, each
 * checked against package-lock.json.
 */
export function findModules(architecture: Architecture, work: string): string {
  const cpu = ARCHITECTURES[architecture];
  const own = join(repository, "node_modules");
  if (existsSync(join(own, `node-linux-${cpu}`))) return own;
  const folder = join(work, "modules");
  mkdirSync(folder);
  for (const name of ["package.json", "package-lock.json"]) {
    copyFileSync(join(repository, name), join(folder, name));
  }
  const args = ["ci", "--omit=dev", "--ignore-scripts", "--os=linux", `--cpu=${cpu}`];
  execFileSync("npm", [...args, "--no-audit", "--no-fund"], { cwd: folder, stdio: "inherit" });
  return join(folder, "node_modules");
}

function writeControl(root: string, choice: Choice, conffiles: readonly string[]): void {
  const folder = join(root, "DEBIAN");
  mkdirSync(folder);
  const control = `Package: uplinkd
Version: ${choice.version}
Architecture: ${choice.architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(sizeOf(root) / 1024)}
Depends: ${DEPENDS.join(", ")}
Recommends: libvirt-clients
Section: net
Priority: optional
Description: shares of a libvirt host's physical NICs, kept when one fails
 uplinkd gives each virtual machine a share of the ports of a
 bond: a reservation, a limit and a priority, promised by an annotation in its
 libvirt XML, enforced by the kernel from its first frame, and kept in order of
 priority when a NIC fails.
 .
 As installed it observes and changes nothing until "uplinkctl enable".
`;
  writeFileSync(join(folder, "control"), control);
  writeFileSync(join(folder, "conffiles"), conffiles.map((path) => `${path}\n`).join(""));
  writeFileSync(join(folder, "md5sums"), sums(root));
  for (const script of ["postinst", "prerm", "postrm"]) {
    writeFileSync(join(folder, script), readFileSync(join(debian, script)), { mode: 0o755 });
  }
}

function writeDocuments(root: string, version: string, dateSeconds: number, modules: string): void {
  const folder = join(root, "usr/share/doc/uplinkd");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "copyright"), copyright(modules));
  const date = new Date(dateSeconds * 1000).toUTCString().replace("GMT", "+0000");
  const entry = `uplinkd (${version}) unstable; urgency=medium\n\n  * What has changed is told in CHANGELOG.md.\n\n -- ${MAINTAINER}  ${date}\n`;
  writeFileSync(join(folder, "changelog.gz"), gzipSync(entry, { level: 9 }));
  for (const name of ["README.md", "CHANGELOG.md", "docs/reference.md"]) {
    copyFileSync(join(repository, name), join(folder, name.replace("docs/", "")));
  }
  mkdirSync(join(folder, "examples"));
  copyFileSync(
    join(repository, "policies/uplinkd.yaml.example"),
    join(folder, "examples/uplinkd.yaml"),
  );
  const overrides = join(root, "usr/share/lintian/overrides");
  mkdirSync(overrides, { recursive: true });
  copyFileSync(join(debian, "lintian-overrides"), join(overrides, "uplinkd"));
}

interface LockedPackage {
  readonly dev?: boolean;
  readonly version?: string;
}

/** uplinkd's own licence, and that of everything that is in its bundles, whole, as those ask for. */
export function copyright(modules: string): string {
  const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const parts = Object.entries(lock.packages).flatMap(([path, entry]) => {
    const name = path.replace(/^node_modules\//, "");
    const folder = join(modules, name);
    if (path === "" || entry.dev === true || !existsSync(folder)) return [];
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (licence === undefined) return [];
    const text = readFileSync(join(folder, licence), "utf8").replaceAll("\r", "");
    return [`${"=".repeat(70)}\n${name} ${entry.version ?? ""}\n\n${text.trim()}\n`];
  });
  return `uplinkd is licensed under the Apache License, version 2.0; on Debian systems its text is in
/usr/share/common-licenses/Apache-2.0.

Copyright: the contributors to uplinkd

What it carries with it:

${parts.join("\n")}`;
}

function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function sizeOf(root: string): number {
  return filesOf(root).reduce((sum, file) => sum + statSync(file).size, 0);
}

function sums(root: string): string {
  return filesOf(root)
    .filter((file) => !file.startsWith(join(root, "DEBIAN")))
    .filter((file) => !file.startsWith(join(root, "etc")))
    .map((file) => {
      const sum = createHash("md5").update(readFileSync(file)).digest("hex");
      return `${sum}  ${file.slice(root.length + 1)}\n`;
    })
    .join("");
}

if (import.meta.main) main();
