/** The description from which rpmbuild makes a package of files that lie there already. Pure. */
import type { InstalledFile } from "./layout.ts";

export interface SpecShape {
  readonly version: string;
  readonly files: readonly Pick<InstalledFile, "path" | "executable" | "configuration">[];
  /** Bodies of the scripts, without their first line. */
  readonly scripts: Readonly<Record<(typeof SCRIPTS)[number], string>>;
}

export const SCRIPTS = ["post", "preun", "postun"] as const;

/** rpm's names for what dpkg has others for. */
export const RPM_ARCHITECTURES = { amd64: "x86_64", arm64: "aarch64" } as const;

/** As Fedora and its relatives call them. */
const REQUIRES = ["libvirt-daemon", "libvirt-dbus", "iproute", "iproute-tc", "systemd"];

/** What a first installation starts. */
const UNITS = "uplinkd-hook.socket uplinkd-control.socket uplinkd-read.socket uplinkd.service";

/** Where a file of Debian's layout lies on a system that rpm rules. */
export function rpmPath(path: string): string {
  return path.replace("/usr/share/zsh/vendor-completions/", "/usr/share/zsh/site-functions/");
}

/** @returns the text of uplinkd.spec */
export function renderSpec({ version, files, scripts }: SpecShape): string {
  const lines = files.map(({ path, executable, configuration }) => {
    // What an operator has changed stays, and the new one comes beside it; so does the hook, which dpkg keeps, too.
    const kept = configuration || path.startsWith("/etc/") ? "%config(noreplace) " : "";
    return `%attr(${executable ? "0755" : "0644"}, root, root) ${kept}${rpmPath(path)}`;
  });
  return `# Programs are as they were built: nothing is stripped, compressed or looked through for what it needs.
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%global _binary_payload w2.xzdio

Name: uplinkd
Version: ${version}
Release: 1
Summary: Shares of a libvirt host's physical NICs, kept when one fails
License: Apache-2.0
AutoReqProv: no
${REQUIRES.map((name) => `Requires: ${name}`).join("\n")}

%description
uplinkd gives each virtual machine a share of the ports of a bond: a reservation, a limit and a priority, promised by an
annotation in its libvirt XML, enforced by the kernel from its first frame, and kept in order of priority when a NIC
fails. As installed it observes and changes nothing until "uplinkctl enable".

${SCRIPTS.map((name) => `%${name}\nunits="${UNITS}"\n${scripts[name].replaceAll("%", "%%").trim()}\n`).join("\n")}
%files
%dir /usr/lib/uplinkd
${lines.join("\n")}
`;
}
