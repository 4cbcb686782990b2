/**
 * The lab's stage from a shell inside it: `node test/lab/stage.ts COMMAND`.
 *   build      bond0 of all uplinks in br0, 10.9.0.100
 *   guest N    a stand-in vmN at 10.9.0.N on br0
 *   pull N     pulls the cable of nicN; plug N puts it back
 *   bare       takes all of it away again
 */
import { resetToBare } from "./bare.ts";
import { buildHost } from "./host.ts";
import { plug, pull } from "./qmp.ts";
import { addStandin } from "./standin.ts";

const commands: Readonly<Record<string, (number: number) => Promise<void> | void>> = {
  build: () => buildHost(),
  guest: (number) => {
    addStandin({ number });
  },
  pull,
  plug,
  bare: () => resetToBare(),
};

const [name = "", number = "0"] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  process.stderr.write(`node test/lab/stage.ts ${Object.keys(commands).join("|")} [N]\n`);
  process.exitCode = 2;
} else {
  await command(Number(number));
}
