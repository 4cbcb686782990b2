/**
 * `npm run demo`: the main job for somebody who watches. Boots a lab, builds what an operator's host has, starts real
 * libvirt domains with annotations, pulls a cable, shows what became of each, and plugs it in again.
 */
import { bootLab, reportBroken } from "./boot.ts";

const outcome = await bootLab({
  kernel: "6.1",
  command: ["node", "test/lab/demo-inside.ts"],
  limitSeconds: 420,
});
process.exitCode = outcome.kind === "ended" ? outcome.exitCode : reportBroken(outcome);
