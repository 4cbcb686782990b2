import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { repository } from "./cache.ts";

/** Programs for the lab in plain JavaScript, which load in half the time. */
export interface LabBundle {
  /** Paths of the programs, in the order of the sources. */
  readonly programs: readonly string[];
  readonly remove: () => void;
}

/**
 * Bundles programs that run inside the lab. Under TCG, Node that strips types by itself now and then ends in one of V8's
 * own checks (`it->second.Size() > offset`), one start of ten; plain JavaScript was not seen to.
 * @param sources TypeScript files, relative to the repository
 */
export async function bundleForLab(sources: readonly string[]): Promise<LabBundle> {
  // Below the repository, so that packages are found.
  const parent = path.join(repository, "dist");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, "lab-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    await build({
      entryPoints: sources.map((source) => path.join(repository, source)),
      outdir: folder,
      outbase: repository,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      // What two programs share has one state.
      splitting: true,
      packages: "external",
      platform: "node",
      target: "node22",
      format: "esm",
      sourcemap: "linked",
      plugins: [keepPlaces],
      logLevel: "warning",
    });
  } catch (error) {
    remove();
    throw error;
  }
  const programs = sources.map((source) => path.join(folder, source.replace(/\.ts$/, ".mjs")));
  return { programs, remove };
}

/** A source finds what lies beside it, wherever the bundle is; one of src/ what lies beside it in dist/. */
const keepPlaces: Plugin = {
  name: "places",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => ({
      contents: readFileSync(file, "utf8")
        .replaceAll("import.meta.dirname", JSON.stringify(path.dirname(file)))
        .replaceAll("import.meta.url", JSON.stringify(placeOf(file))),
      loader: "ts",
    }));
  },
};

function placeOf(file: string): string {
  const built = path.join(repository, "dist/uplinkd.mjs");
  const ours = file.startsWith(path.join(repository, "src/"));
  return pathToFileURL(ours ? built : file).href;
}
