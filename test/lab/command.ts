import { spawn, spawnSync } from "node:child_process";

/** A command inside the lab that failed: what was run, its exit code, and what it said. */
export class CommandError extends Error {
  readonly command: string;
  readonly exitCode: number | null;

  constructor(command: string, exitCode: number | null, output: string) {
    super(`${command}: exit ${exitCode ?? "by signal"}: ${output.trim()}`);
    this.name = "CommandError";
    this.command = command;
    this.exitCode = exitCode;
  }
}

/** Runs a program to its end and returns its standard output. */
export function run(program: string, ...args: readonly string[]): string {
  return runWithInput("", program, ...args);
}

/** The same with a text as standard input. */
export function runWithInput(input: string, program: string, ...args: readonly string[]): string {
  const result = spawnSync(program, args, {
    input,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  const command = [program, ...args].join(" ");
  if (result.error !== undefined) throw new CommandError(command, null, result.error.message);
  if (result.status !== 0) {
    throw new CommandError(command, result.status, `${result.stderr}${result.stdout}`);
  }
  return result.stdout;
}

/** Runs a program without blocking this process, so that several can be measured at once. */
export function runAside(program: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let complaints = "";
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
    });
    child.stderr.on("data", (data: Buffer) => {
      complaints += data.toString();
    });
    const command = [program, ...args].join(" ");
    child.on("error", (error) => reject(new CommandError(command, null, error.message)));
    child.on("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new CommandError(command, code, `${complaints}${output}`));
    });
  });
}

/** Words before a command that make it run in a network namespace; the host's own is "". */
export function inNamespace(namespace: string): readonly string[] {
  return namespace === "" ? [] : ["ip", "netns", "exec", namespace];
}

/** Several `ip` commands by one process, each a line; stops at the first that fails. */
export function ip(lines: readonly string[], namespace = ""): void {
  const where = namespace === "" ? [] : ["-n", namespace];
  runWithInput(`${lines.join("\n")}\n`, "ip", ...where, "-batch", "-");
}

/** Several `tc` commands by one process, each a line; stops at the first that fails. */
export function tc(lines: readonly string[], namespace = ""): void {
  const where = namespace === "" ? [] : ["-n", namespace];
  runWithInput(`${lines.join("\n")}\n`, "tc", ...where, "-batch", "-");
}

/** Several `bridge` commands by one process, each a line. */
export function bridge(lines: readonly string[], namespace = ""): void {
  const where = namespace === "" ? [] : ["-n", namespace];
  runWithInput(`${lines.join("\n")}\n`, "bridge", ...where, "-batch", "-");
}

/** Lines of shell that run commands of iproute2 by one process, each a line; the shell ends at the first that fails. */
export function batch(tool: string, lines: readonly string[]): readonly string[] {
  return [`${tool} -batch - <<'END' || exit`, ...lines, "END"];
}

/** The same for what may fail as it has been done before; nothing where there is nothing to do. */
export function unchecked(tool: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`${tool} -force -batch - 2>/dev/null <<'END'`, ...lines, "END"];
}

/**
 * What `ip -j`, `tc -j` or `bridge -j` prints. The caller states the shape of an entry; iproute2's manual
 * pages don't, so look at the output once.
 */
export function readJson<Entry>(
  tool: "ip" | "tc" | "bridge",
  command: string,
  namespace = "",
): Entry[] {
  const where = namespace === "" ? [] : ["-n", namespace];
  const output = run(tool, "-j", ...where, ...command.split(" ").filter((word) => word !== ""));
  return output.trim() === "" ? [] : (JSON.parse(output) as Entry[]);
}
