/** A terminal taken for a while: another screen, keys as they are pressed, its size. Given back whatever happens. */

/** xterm's control sequences (XTerm Control Sequences, ECMA-48), which every terminal over ssh knows. */
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** How the program that owns the terminal may end; each gives it back first. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Replaces what is shown; lines beyond the last row are left out. */
  show(lines: readonly string[]): void;
  /** Keys by name: q, up, down, pageup, pagedown, home, end; ctrl-c is q. */
  onKey(listener: (key: string) => void): void;
  onResize(listener: () => void): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

/** A sequence from escape to its letter or ~, escape alone, or a character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape is what they begin with
const KEY = /\u001b(?:[[O][0-9;]*[A-Za-z~])?|[^\u001b]/gu;

const KEYS: Readonly<Record<string, string>> = {
  "\u0003": "q",
  "\u0004": "q",
  "\u001b": "q",
  "\u001b[A": "up",
  "\u001b[B": "down",
  "\u001b[5~": "pageup",
  "\u001b[6~": "pagedown",
  "\u001b[H": "home",
  "\u001b[F": "end",
  "\u001bOA": "up",
  "\u001bOB": "down",
};

/** What of the process the screen needs. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
}

/** Takes the terminal. Nothing else may write to it until it is closed. */
export function openScreen({ stdin, stdout }: TerminalStreams): Screen {
  let onKey: (key: string) => void = () => undefined;
  let onResize: () => void = () => undefined;
  let isOpen = true;
  const read = (data: Buffer) => {
    const text = data.toString("utf8");
    // Keys that came at once, as when one is held down; a sequence begins with escape and ends with a letter or ~.
    for (const key of text.match(KEY) ?? []) onKey(KEYS[key] ?? key);
  };
  const resized = () => onResize();
  const screen: Screen = {
    get columns() {
      return stdout.columns || 80;
    },
    get rows() {
      return stdout.rows || 24;
    },
    show(lines) {
      const shown = lines.slice(0, screen.rows).map((line) => `${line}${CLEAR_LINE}`);
      // One write, over what was there: clearing first would flicker.
      stdout.write(`${HOME}${shown.join("\r\n")}${shown.length < screen.rows ? CLEAR_BELOW : ""}`);
    },
    onKey(listener) {
      onKey = listener;
    },
    onResize(listener) {
      onResize = listener;
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      stdin.off("data", read);
      stdout.off("resize", resized);
      process.off("exit", screen.close);
      for (const signal of SIGNALS) process.off(signal, interrupted);
      stdin.setRawMode?.(false);
      stdin.pause();
      stdout.write(LEAVE);
    },
  };
  const interrupted = () => onKey("q");
  stdout.write(ENTER);
  stdin.setRawMode?.(true);
  stdin.on("data", read);
  stdin.resume();
  stdout.on("resize", resized);
  // An error that nobody catches, too, must leave a usable terminal.
  process.on("exit", screen.close);
  for (const signal of SIGNALS) process.on(signal, interrupted);
  return screen;
}
