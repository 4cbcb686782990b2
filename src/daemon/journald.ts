/**
 * Where the log's lines go. Under systemd each event is an entry with fields of its own, by journald's datagrams
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL); elsewhere a line on stderr with its priority before it (sd-daemon(3)). Neither
 * throws, and no datagram waits: what journald can't take is counted, and told with the next that it takes.
 */
import { fstatSync } from "node:fs";
import type { Severity, ToldEvent } from "../model/event.ts";
import { EAGAIN } from "../native/errno.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, send, socket, unixAddress } from "../native/libc.ts";
import { messageIdOf } from "./message-id.ts";

const JOURNALD = "/run/systemd/journal/socket";

/** syslog(3): the priorities. */
const PRIORITY: Readonly<Record<Severity, number>> = {
  debug: 7,
  info: 6,
  notice: 5,
  warning: 4,
  error: 3,
};

/** Fields that stand under their own names; all others get UPLINKD_ before theirs, lest they be journald's. */
const PLAIN_FIELDS: ReadonlySet<string> = new Set(["domain", "mac", "team", "uplink"]);

/** Control characters of all kinds (ESC, CSI, line feeds), and Unicode's own ends of lines. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/**
 * @param path journald's socket, or null where stderr is no stream of journald's
 * @param writeLine writes to stderr
 * @returns what writes an event
 */
export function openLogWriter(
  path: string | null = isJournalStream() ? JOURNALD : null,
  writeLine: (line: string) => void = (line) => process.stderr.write(line),
): (event: ToldEvent) => void {
  const fd = path === null ? -1 : socket(AF_UNIX, SOCK_DGRAM, 0);
  if (path === null || fd < 0) return (event) => writeLine(formatLine(event));
  const address = unixAddress(path);
  const sendEntry = (event: ToldEvent) =>
    send(fd, new TextEncoder().encode(formatEntry(event)), address, MSG_DONTWAIT);
  let lost = 0;
  return (event) => {
    if (lost > 0 && sendEntry({ ...event, ...linesLost(lost) }) >= 0) lost = 0;
    const result = sendEntry(event);
    // A stderr that journald doesn't read would hold up everything; any other refusal is no reason to be silent.
    if (result === -EAGAIN) lost += 1;
    else if (result < 0) writeLine(formatLine(event));
  };
}

function linesLost(count: number) {
  const message = `journald took nothing for a while: ${count} lines are missing here`;
  return { severity: "warning", id: "lines-lost", message, fields: {} } as const;
}

/** An event as a line for stderr. */
export function formatLine({ severity, id, message }: ToldEvent): string {
  return `<${PRIORITY[severity]}>${id}: ${oneLine(message)}\n`;
}

/** An event as journald's fields, one a line: no value has a line feed. */
export function formatEntry({ severity, id, message, revision, fields }: ToldEvent): string {
  const own = Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    const upper = name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
    const key = PLAIN_FIELDS.has(name) ? upper : `UPLINKD_${upper}`;
    return value === "" ? [] : [[key, String(value)]];
  });
  const entry: readonly (readonly [string, string])[] = [
    ["MESSAGE", `${id}: ${message}`],
    ["PRIORITY", String(PRIORITY[severity])],
    ["MESSAGE_ID", messageIdOf(id)],
    // What stderr's lines have: the unit's name and syslog's daemon.
    ["SYSLOG_IDENTIFIER", "uplinkd"],
    ["SYSLOG_FACILITY", "3"],
    ["UPLINKD_EVENT", id],
    ["REVISION", String(revision)],
    ...own,
  ];
  return entry.map(([key, value]) => `${key}=${oneLine(value)}\n`).join("");
}

/** Names and errors are others' words: one line, and nothing that a terminal or journald obeys. */
function oneLine(text: string): string {
  return text.replaceAll(CONTROL, " ");
}

/** systemd.exec(5), JOURNAL_STREAM: whether stderr is the stream that systemd gave us, not one that somebody put in its place. */
function isJournalStream(): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
