/** An event as a line of text. Pure. */
import type { Severity, UplinkEvent } from "../model/event.ts";
import { type Colour, type Layout, printable } from "./table.ts";

const COLOURS: Readonly<Record<Severity, Colour | null>> = {
  debug: "dim",
  info: null,
  notice: "bold",
  warning: "yellow",
  error: "red",
};

/** `2026-01-31 12:00:00.000  warning  uplink-lost  eno1 has no carrier`, in local time, never wrapped. */
export function renderEvent(event: UplinkEvent, layout: Layout): string {
  const colour = COLOURS[event.severity];
  const severity = event.severity.padEnd(7);
  const shown = colour === null ? severity : layout.paint(colour, severity);
  return `${localTime(event.atMs)}  ${shown}  ${printable(event.id)}  ${printable(event.message)}`;
}

function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
