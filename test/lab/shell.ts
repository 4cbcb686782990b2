/**
 * `npm run lab`: a shell in the lab, on this terminal. Leave it with `exit` or `poweroff`.
 *
 *   npm run lab -- [--kernel 6.12] [--cables 4] [--nic e1000e]
 */
import { isatty } from "node:tty";
import { parseArgs } from "node:util";
import { bootLab, kernels, nicModels, reportBroken } from "./boot.ts";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kernel: { type: "string", default: "6.1" },
      cables: { type: "string", default: "2" },
      nic: { type: "string", default: "virtio-net-pci" },
    },
  });
  const kernel = kernels.find((name) => name === values.kernel);
  const nic = nicModels.find((name) => name === values.nic);
  const cables = Number(values.cables);
  if (kernel === undefined || nic === undefined || !(cables >= 1 && cables <= 4)) {
    process.stderr.write(
      `--kernel ${kernels.join("|")} --cables 1..4 --nic ${nicModels.join("|")}\n`,
    );
    return 2;
  }
  // Looked at without opening the terminal here: QEMU reads it.
  if (!isatty(0)) {
    process.stderr.write(
      "a shell needs a terminal; for one command: node test/lab/boot.ts -- ...\n",
    );
    return 2;
  }
  // The serial console carries no window size, so the shell is told once.
  const { rows = 24, columns = 80 } = process.stdout;
  const outcome = await bootLab({
    kernel,
    cables,
    nics: [nic],
    terminal: true,
    command: [
      ...["sh", "-c"],
      `stty rows ${rows} cols ${columns}; cat test/lab/guest/welcome; exec bash -i`,
    ],
  });
  return outcome.kind === "ended" ? outcome.exitCode : reportBroken(outcome);
}

process.exitCode = await main();
