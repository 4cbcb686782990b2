import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { until } from "./wait.ts";

const SOCKET = "/dev/log";
const FILE = "/run/lab/syslog";

/** Node has no datagram unix sockets; perl-base is on every Debian. */
const PROGRAM = `
use strict; my ($socket, $file) = @ARGV;
socket(my $s, 1, 2, 0) or die; bind($s, pack("S a108", 1, $socket)) or die;
open(my $out, ">>", $file) or die; select($out); $| = 1;
while (defined recv($s, my $line, 8192, 0)) { print $out "$line\\n" }
`;

/** Takes in what programs say by syslog(3), until stopped: the lab runs no system log of its own. */
export class Syslog {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(): Promise<Syslog> {
    rmSync(SOCKET, { force: true });
    rmSync(FILE, { force: true });
    const child = spawn("perl", ["-e", PROGRAM, SOCKET, FILE], { stdio: "ignore" });
    await until("/dev/log", () => existsSync(SOCKET));
    return new Syslog(child);
  }

  /** All that was said so far. */
  read(): string {
    return existsSync(FILE) ? readFileSync(FILE, "utf8") : "";
  }

  stop(): void {
    this.#process.kill();
    rmSync(SOCKET, { force: true });
  }
}
