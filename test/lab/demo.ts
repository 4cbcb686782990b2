/**
 * `npm run demo`: the main job for somebody who watches. Boots a lab, builds what an operator's host has, starts real
 * libvirt domains with annotations, pulls a cable, shows what became of each, and plugs it in again.
 */
import { bootLab, reportBroken } from "./boot.ts";
import { bundleForLab } from "./bundle.ts";

const bundle = await bundleForLab(["test/lab/demo-inside.ts"]);
const outcome = await bootLab({
  kernel: "6.1",
  command: ["node", ...bundle.programs],
  limitSeconds: 420,
});
bundle.remove();
process.exitCode = outcome.kind === "ended" ? outcome.exitCode : reportBroken(outcome);
