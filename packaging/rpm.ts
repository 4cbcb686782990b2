/**
 * Builds the package for systems that rpm rules, of the files that Debian's has: `npm run package:rpm`, or
 *
 *   node packaging/rpm.ts [--arch amd64|arm64] [--version VERSION] [--out DIR]
 *
 * Needs rpmbuild (Debian's package rpm has it), and dist/ (node packaging/build.ts).
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../src/model/version.ts";
import {
  ARCHITECTURES,
  type Architecture,
  type InstalledFile,
  installFiles,
  listFiles,
} from "./layout.ts";
import { copyright, findModules, sourceDateSeconds } from "./package.ts";
import { RPM_ARCHITECTURES, renderSpec, rpmPath, SCRIPTS } from "./spec.ts";

const repository = join(import.meta.dirname, "..");

const { values } = parseArgs({
  options: {
    arch: { type: "string", default: "amd64" },
    version: { type: "string", default: VERSION },
    out: { type: "string", default: join(repository, "dist") },
  },
});
if (!Object.hasOwn(ARCHITECTURES, values.arch)) {
  throw new Error(`--arch ${values.arch}: one of ${Object.keys(ARCHITECTURES).join(", ")}`);
}
const architecture = values.arch as Architecture;
const work = mkdtempSync(join(tmpdir(), "uplinkd-rpm-"));
try {
  const dateSeconds = sourceDateSeconds();
  const modules = findModules(architecture, work);
  const files: readonly InstalledFile[] = [
    ...listFiles({ architecture, modules, dateSeconds }).map((file) => ({
      ...file,
      path: rpmPath(file.path),
    })),
    {
      path: "/usr/share/licenses/uplinkd/LICENSES",
      executable: false,
      configuration: false,
      content: { bytes: Buffer.from(copyright(modules)) },
    },
  ];
  const root = join(work, "root");
  installFiles(root, files, false);
  const scripts = Object.fromEntries(
    SCRIPTS.map((name) => [name, readFileSync(join(import.meta.dirname, "rpm", name), "utf8")]),
  ) as Record<(typeof SCRIPTS)[number], string>;
  const spec = join(work, "uplinkd.spec");
  writeFileSync(spec, renderSpec({ version: values.version, files, scripts }));
  const defines = [
    `_topdir ${work}/top`,
    "_buildhost uplinkd",
    "use_source_date_epoch_as_buildtime 1",
  ];
  execFileSync(
    "rpmbuild",
    [
      ...[
        "-bb",
        "--quiet",
        "--buildroot",
        root,
        "--target",
        `${RPM_ARCHITECTURES[architecture]}-linux`,
      ],
      // rpmbuild empties its root before %install unless it is told that this is over.
      ...["--noprep", "--noclean", ...defines.flatMap((define) => ["--define", define]), spec],
    ],
    {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(dateSeconds) },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  mkdirSync(values.out, { recursive: true });
  for (const built of globSync(join(work, "top/RPMS/*/*.rpm"))) {
    const target = join(values.out, basename(built));
    copyFileSync(built, target);
    process.stdout.write(`${target}: ${Math.round(statSync(target).size / 1e6)} MB\n`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
