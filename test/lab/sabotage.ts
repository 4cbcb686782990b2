/**
 * `npm run test:sabotage [-- --kernel 6.12] [--stage shaping] [--sabotage "pins gone"] [--long]`: runs every test that
 * names a sabotage once for each, and once with nothing broken, and fails unless exactly the broken ones turn red; those of
 * NAME.long.test.ts only with `--long`. See sabotage-kit.ts.
 */
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { repository } from "./cache.ts";
import { sabotagedPrefix, sabotageNames } from "./sabotage-kit.ts";

function main(): number {
  const { values } = parseArgs({
    options: {
      kernel: { type: "string", default: "6.1" },
      stage: { type: "string" },
      sabotage: { type: "string", default: "all" },
      long: { type: "boolean", default: false },
    },
  });
  const files = globSync("test/lab/stages/*/*.test.ts", { cwd: repository })
    .map((file) => ({ file, text: readFileSync(path.join(repository, file), "utf8") }))
    .filter(({ text }) => text.includes("itEnforces("));
  const unused = sabotageNames.filter(
    (name) => !files.some(({ text }) => text.includes(`"${name}"`)),
  );
  for (const name of unused) process.stderr.write(`sabotage '${name}' is named by no test\n`);
  const stages = [...new Set(files.map(({ file }) => path.basename(path.dirname(file))))];
  const chosen = stages.filter((stage) => values.stage === undefined || values.stage === stage);
  const { status } = spawnSync(
    process.execPath,
    [
      path.join(import.meta.dirname, "run.ts"),
      ...["--kernel", values.kernel, "--stage", chosen.join(",")],
      ...["--sabotage", values.sabotage, "--grep", sabotagedPrefix],
      ...(values.long ? ["--long"] : []),
    ],
    { cwd: repository, stdio: "inherit" },
  );
  return unused.length === 0 ? (status ?? 1) : 1;
}

process.exitCode = main();
