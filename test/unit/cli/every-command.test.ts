import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { FakeDaemon } from "../control/fake-daemon.ts";
import { ARGUMENTS, commandWords, findCommand } from "./every-command.ts";
import { type Outcome, runInProcess } from "./in-process.ts";

const STACK = /^\s+at .*[:(]/m;
/** What only a program's inside says. */
const INSIDE = /\bundefined\b|\[object |NaN|\bTypeError\b/;

describe("every command", () => {
  let directory: string;
  let server: ControlServer | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-every-"));
    mkdirSync(join(directory, "policies"));
  });
  afterEach(async () => {
    await server?.close();
    server = undefined;
    rmSync(directory, { recursive: true });
  });

  const run = async (args: readonly string[]): Promise<Outcome> => {
    const outcome = await runInProcess(args, {
      environment: { UPLINKD_RUN_DIR: directory, UPLINKD_CONFIG_DIR: directory },
    });
    const told = outcome.stdout + outcome.stderr;
    assert.doesNotMatch(told, STACK, args.join(" "));
    return outcome;
  };
  const argumentsOf = (words: string) => [
    ...words.split(" "),
    ...(ARGUMENTS[words] ?? []),
    ...(words === "policy check" ? [join(directory, "uplinkd.yaml")] : []),
  ];

  /** The command and options of an example's line; what follows a pipe or three spaces is no part of it. */
  const exampleWords = (line: string) =>
    (line.split(/ {2,}| \||;/)[0] ?? "").split(" ").filter((word) => word !== "sudo");

  for (const words of commandWords()) {
    it(`has help with examples that are right: ${words}`, async () => {
      const { code, stdout, stderr } = await run([...words.split(" "), "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      const [, examples = ""] = stdout.split(/^Examples?:\n/m);
      const lines = examples.split("\n").flatMap((line) => /\buplinkctl .*/.exec(line) ?? []);
      assert.ok(
        lines.some((line) => line.startsWith(`uplinkctl ${words}`)),
        stdout,
      );
      for (const line of lines) {
        const [, ...rest] = exampleWords(line);
        const command = findCommand(rest.slice(0, 1)) ?? findCommand(rest.slice(0, 2));
        assert.ok(command, line);
        for (const option of rest.filter((word) => word.startsWith("--"))) {
          assert.ok(
            command.options.some(({ long }) => long === option),
            line,
          );
        }
      }
    });

    it(`names what is wrong where nothing is there, in words: ${words}`, async () => {
      const { code, stderr } = await run(argumentsOf(words));
      assert.ok([0, 1, 2, 3].includes(code));
      assert.doesNotMatch(stderr.replaceAll(directory, ""), INSIDE);
      if (code === 3) assert.match(stderr, /\n {2}\S/, "and what to do");
    });

    it(`takes an error inside the daemon as one: ${words}`, async () => {
      const daemon = new Proxy(new FakeDaemon(), {
        get: (target, name) =>
          typeof Reflect.get(target, name) === "function"
            ? () => {
                throw new TypeError("x of undefined");
              }
            : Reflect.get(target, name),
      });
      server = await listenControl({
        handlers: daemon,
        access: "full",
        listen: { path: join(directory, "control.sock"), mode: 0o600 },
        onError: () => {},
      });
      const { code } = await run(argumentsOf(words));
      assert.ok([0, 1, 2, 3].includes(code));
    });

    it(`ends with 2 for a wrong file, or does without it: ${words}`, async () => {
      writeFileSync(join(directory, "uplinkd.yaml"), "teams: [{bnod: bond0}]\n");
      writeFileSync(join(directory, "policies/gold.yaml"), "\u0000: [");
      const { code, stderr } = await run(argumentsOf(words));
      assert.ok([0, 1, 2, 3].includes(code));
      assert.doesNotMatch(stderr.replaceAll(directory, ""), INSIDE);
    });

    it(`suggests the option that was meant, and ends with 2: ${words}`, async () => {
      const { code, stdout, stderr } = await run([...argumentsOf(words), "--jsno"]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /Did you mean --json\?/);
    });

    it(`suggests the command that was meant, and ends with 2: ${words}`, async () => {
      const mistyped = words.replace(/(.)(.)$/, "$2$1");
      const { code, stdout, stderr } = await run(mistyped.split(" "));
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, new RegExp(`Did you mean .*${words.split(" ").at(-1)}`));
    });
  }

  it("is told its exit codes by uplinkctl --help", async () => {
    const { stdout } = await run(["--help"]);
    assert.match(stdout, /^Exit codes: 0 .*1 .*2 .*3 /m);
  });
});
