/**
 * Which file of an installed uplinkd lies where: the one list that install.sh and the package share.
 *
 *   node packaging/layout.ts install ROOT    puts everything below ROOT ("/" for this host); what an operator may
 *                                            have changed stays as it is
 *   node packaging/layout.ts remove ROOT     takes it away, but for what an operator may have changed
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { BUNDLES } from "./bundles.ts";
import { renderCatalogue } from "./catalogue.ts";
import { bashCompletion, fishCompletion, zshCompletion } from "./completion.ts";
import { describeUplinkctl, projectManual } from "./programs.ts";
import { SCHEMA_FOLDER } from "./schemas.ts";

/** Debian's names for what the runtime and koffi's native file exist for. */
export const ARCHITECTURES = { amd64: "x64", arm64: "arm64" } as const;
export type Architecture = keyof typeof ARCHITECTURES;

export interface InstalledFile {
  /** Absolute path on the host. */
  readonly path: string;
  readonly executable: boolean;
  /** A file of this repository or of its packages, or the bytes themselves. */
  readonly content: { readonly file: string } | { readonly bytes: Buffer };
  /** An operator's, who may change it. */
  readonly configuration: boolean;
}

export interface LayoutOptions {
  readonly architecture: Architecture;
  /** Where the npm packages of that architecture are. */
  readonly modules: string;
  /** Of the manual's pages, seconds since 1970. */
  readonly dateSeconds: number;
}

const repository = join(import.meta.dirname, "..");
const PROGRAMS = "/usr/lib/uplinkd";

/** Every file, in the order of paths. */
export function listFiles(options: LayoutOptions): readonly InstalledFile[] {
  const files = [
    ...programs(options),
    ...configuration(),
    ...integration(),
    ...manual(options.dateSeconds),
    ...completion(),
  ];
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Writes the files, which must have been built, below a root, "" for this host's own. @param keep leaves a configuration that is there */
export function installFiles(root: string, files: readonly InstalledFile[], keep: boolean): void {
  for (const { path, executable, content, configuration: isConfiguration } of files) {
    const target = join(root, path);
    if (keep && isConfiguration && existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    // A program that runs keeps its old file.
    rmSync(target, { force: true });
    if ("file" in content) copyFileSync(content.file, target);
    else writeFileSync(target, content.bytes);
    chmodSync(target, executable ? 0o755 : 0o644);
  }
}

function programs({ architecture, modules }: LayoutOptions): InstalledFile[] {
  const cpu = ARCHITECTURES[architecture];
  const koffi = `@koromix/koffi-linux-${cpu}`;
  const names = [
    // What koffi loads at run time; its C++ sources stay behind.
    ...["koffi/package.json", "koffi/index.js", "koffi/src/koffi/index.js"],
    "koffi/src/koffi/src/static.js",
    ...[`${koffi}/package.json`, `${koffi}/index.js`, `${koffi}/linux_${cpu}/koffi.node`],
  ];
  return [
    program(`${PROGRAMS}/node`, join(modules, `node-linux-${cpu}/bin/node`)),
    ...Object.keys(BUNDLES).map((name) =>
      data(`${PROGRAMS}/dist/${name}.mjs`, join(repository, `dist/${name}.mjs`)),
    ),
    ...names.map((name) => data(`${PROGRAMS}/node_modules/${name}`, join(modules, name))),
    // Read by the script below, not run: libvirtd's AppArmor profile lets it run nothing else outside its folders.
    program(`${PROGRAMS}/hook`, join(repository, "hooks/qemu")),
    launcher("/usr/bin/uplinkctl", "uplinkctl"),
    launcher("/usr/sbin/uplinkd", "uplinkd"),
  ];
}

function launcher(path: string, name: string): InstalledFile {
  const line = `exec ${PROGRAMS}/node ${PROGRAMS}/dist/${name}.mjs "$@"`;
  return { ...text(path, `#!/bin/sh\n${line}\n`), executable: true };
}

function configuration(): InstalledFile[] {
  const policies = readdirSync(join(repository, "policies")).filter((name) =>
    name.endsWith(".yaml"),
  );
  const example = readFileSync(join(repository, "policies/uplinkd.yaml.example"), "utf8");
  return [
    // Nothing in it holds until an operator takes a `#` away: its bond is nobody's.
    { ...text("/etc/uplinkd/uplinkd.yaml", commentOut(example)), configuration: true },
    ...policies.map((name) => ({
      ...data(`/etc/uplinkd/policies/${name}`, join(repository, "policies", name)),
      configuration: true,
    })),
    ...readdirSync(join(repository, "policies/schema")).map((name) =>
      data(`/usr/share/uplinkd/schema/${name}`, join(repository, "policies/schema", name)),
    ),
    ...["uplinkd.rules.yml", "grafana-dashboard.json"].map((name) =>
      data(`/usr/share/uplinkd/prometheus/${name}`, join(repository, "packaging/prometheus", name)),
    ),
    ...readdirSync(join(repository, SCHEMA_FOLDER)).map((name) =>
      data(`/usr/share/uplinkd/schema/api/${name}`, join(repository, SCHEMA_FOLDER, name)),
    ),
  ];
}

function integration(): InstalledFile[] {
  const systemd = join(repository, "systemd");
  const units = readdirSync(systemd).filter((name) => /\.(service|socket)$/.test(name));
  return [
    // Stays when the rest is removed but not purged; libvirt then finds nothing to wait for.
    {
      ...text(
        "/etc/libvirt/hooks/qemu.d/50-uplinkd",
        `#!/bin/sh
# uplinkd's libvirt hook; what it does is in the file that it reads. libvirt looks for hooks only when it starts.
[ -r ${PROGRAMS}/hook ] || exit 0
. ${PROGRAMS}/hook
`,
      ),
      executable: true,
    },
    ...units.map((name) => data(`/usr/lib/systemd/system/${name}`, join(systemd, name))),
    ...["sysusers.d", "tmpfiles.d"].map((folder) =>
      data(`/usr/lib/${folder}/uplinkd.conf`, join(systemd, folder, "uplinkd.conf")),
    ),
    text("/usr/lib/systemd/catalog/uplinkd.catalog", renderCatalogue()),
    data("/usr/share/dbus-1/system.d/uplinkd.conf", join(systemd, "dbus-1/uplinkd.conf")),
  ];
}

function manual(dateSeconds: number): InstalledFile[] {
  return [...projectManual(dateSeconds)].map(([name, page]) => ({
    ...text(`/usr/share/man/man${name.slice(-1)}/${name}.gz`, ""),
    content: { bytes: gzipSync(page, { level: 9 }) },
  }));
}

function completion(): InstalledFile[] {
  const commands = describeUplinkctl();
  return [
    text("/usr/share/bash-completion/completions/uplinkctl", bashCompletion(commands)),
    text("/usr/share/zsh/vendor-completions/_uplinkctl", zshCompletion(commands)),
    text("/usr/share/fish/vendor_completions.d/uplinkctl.fish", fishCompletion(commands)),
  ];
}

/** Comments and empty lines stay as they are. */
function commentOut(yaml: string): string {
  return yaml.replaceAll(/^(?=.*\S)(?! *#)/gm, "#");
}

function data(path: string, file: string): InstalledFile {
  return { path, executable: false, content: { file }, configuration: false };
}

function program(path: string, file: string): InstalledFile {
  return { ...data(path, file), executable: true };
}

function text(path: string, content: string): InstalledFile {
  return {
    path,
    executable: false,
    content: { bytes: Buffer.from(content) },
    configuration: false,
  };
}

function ownArchitecture(): Architecture {
  const own = Object.entries(ARCHITECTURES).find(([, cpu]) => cpu === process.arch)?.[0];
  if (own === undefined) throw new Error(`there is no runtime for ${process.arch}`);
  return own as Architecture;
}

if (import.meta.main) {
  const [verb, root = ""] = process.argv.slice(2);
  const files = listFiles({
    architecture: ownArchitecture(),
    modules: join(repository, "node_modules"),
    dateSeconds: Date.now() / 1000,
  });
  if (verb === "install") installFiles(root, files, true);
  else if (verb === "remove") {
    const gone = files.filter((file) => !file.configuration).map((file) => join(root, file.path));
    for (const path of [...gone, join(root, PROGRAMS), join(root, "/usr/share/uplinkd")]) {
      rmSync(path, { recursive: true, force: true });
    }
  } else throw new Error("node packaging/layout.ts install|remove ROOT");
}
