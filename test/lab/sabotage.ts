/**
 * `npm run test:sabotage [-- --kernel 6.12] [--stage shaping]`: runs every test that names a sabotage once for each,
 * and once with nothing broken, and fails unless exactly the broken ones turn red. See sabotage-kit.ts.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { bootLab, type Kernel, kernels, reportBroken } from "./boot.ts";
import { sabotagedPrefix, sabotageNames } from "./sabotage-kit.ts";

const repository = path.join(import.meta.dirname, "..", "..");
/** A stage's sabotaged tests take some 20 s each under TCG; seconds. */
const STAGE_LIMIT_SECONDS = 3600;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kernel: { type: "string", default: "6.1" },
      stage: { type: "string" },
      sabotage: { type: "string", default: "all" },
    },
  });
  const kernel = kernels.find((name) => name === values.kernel);
  if (kernel === undefined) {
    process.stderr.write(`--kernel is one of ${kernels.join(", ")}\n`);
    return 2;
  }
  const files = filesByStage();
  const text = [...files.values()].flat().map((file) => readFileSync(file, "utf8"));
  const unused = sabotageNames.filter((name) => !text.some((each) => each.includes(`"${name}"`)));
  for (const name of unused) process.stderr.write(`sabotage '${name}' is named by no test\n`);
  let worst = unused.length === 0 ? 0 : 1;
  for (const [stage, stageFiles] of files) {
    if (values.stage !== undefined && values.stage !== stage) continue;
    process.stdout.write(`\nstage ${stage}, kernel ${kernel}\n`);
    worst = Math.max(worst, await runStage(kernel, stageFiles, values.sabotage));
  }
  return worst;
}

/** Test files that name a sabotage, by stage. */
function filesByStage(): ReadonlyMap<string, readonly string[]> {
  const files = globSync("test/lab/stages/*/*.test.ts", { cwd: repository })
    .map((file) => path.join(repository, file))
    .filter((file) => readFileSync(file, "utf8").includes("itEnforces("))
    .sort();
  return Map.groupBy(files, (file) => path.basename(path.dirname(file)));
}

async function runStage(kernel: Kernel, files: readonly string[], name: string): Promise<number> {
  const mocha = path.join(repository, "node_modules/mocha/bin/mocha.js");
  const outcome = await bootLab({
    kernel,
    limitSeconds: STAGE_LIMIT_SECONDS,
    environment: { UPLINKD_SABOTAGE: name },
    command: [
      ...["node", mocha, "--exit", "--no-config", "--reporter", "spec", "--timeout", "120000"],
      ...["--fail-zero", "--grep", sabotagedPrefix],
      ...files,
    ],
  });
  if (outcome.kind === "broken") return reportBroken(outcome);
  return outcome.exitCode === 0 ? 0 : 1;
}

process.exitCode = await main();
