/** Text for people: tables that fit the width, wrapped paragraphs, colour. Pure. */
import { stripVTControlCharacters } from "node:util";
import { clip } from "../model/units.ts";

export type Colour = "red" | "yellow" | "green" | "bold" | "dim";
const SGR: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  yellow: [33, 39],
  green: [32, 39],
  bold: [1, 22],
  dim: [2, 22],
};

/** Paints text, or doesn't. */
export type Paint = (colour: Colour, text: string) => string;

export const plain: Paint = (_, text) => text;
export const painted: Paint = (colour, text) =>
  `\u001b[${SGR[colour][0]}m${text}\u001b[${SGR[colour][1]}m`;

/** How text is laid out. */
export interface Layout {
  /** Columns; Infinity where the reader is no terminal. */
  readonly width: number;
  readonly paint: Paint;
}

export interface Column {
  readonly title: string;
  /** Figures stand right, so that they can be compared. */
  readonly align?: "right";
  /** May be cut when the table is too wide; down to its title's width and at least this. */
  readonly leastWidth?: number;
}

export interface Cell {
  readonly text: string;
  readonly colour?: Colour;
}

/** Two spaces between columns. */
const GAP = 2;

/**
 * Lays out a table, a line each, titles first. Columns with a leastWidth are cut, the widest first, until the
 * table fits; where that isn't enough lines grow beyond the width rather than lose figures.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly (Cell | string)[])[],
  layout: Layout,
  indent = 0,
): string[] {
  const cells = rows.map((row) => columns.map((_, index) => toCell(row[index])));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => row[index]?.text.length ?? 0)),
  );
  shrink(columns, widths, layout.width - indent - GAP * (columns.length - 1));
  const line = (row: readonly Cell[]) =>
    `${" ".repeat(indent)}${columns
      .map((column, index) =>
        writeCell(row[index] ?? { text: "" }, column, widths[index] ?? 0, layout),
      )
      .join(" ".repeat(GAP))}`.trimEnd();
  const titles = columns.map((column): Cell => ({ text: column.title, colour: "dim" }));
  return [line(titles), ...cells.map(line)];
}

/** Breaks text into lines at spaces; a word longer than a line stays whole. */
export function wrap(text: string, layout: Layout, indent: string, hanging = indent): string[] {
  const lines: string[] = [];
  let current = indent;
  let isEmpty = true;
  for (const word of printable(text).split(/ +/)) {
    if (!isEmpty && current.length + 1 + word.length > layout.width) {
      lines.push(current);
      current = hanging;
      isEmpty = true;
    }
    current += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, current];
}

/** Names come from outside: nothing in them may move the cursor or change the terminal. */
export function printable(text: string): string {
  return clip(stripVTControlCharacters(text), Number.POSITIVE_INFINITY);
}

/** Colours, and else characters, one by one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape is what they begin with
const PAINTED = /\u001b\[[0-9;]*m|./gsu;

/** A line cut to the width; colours in it count for nothing, and are ended where it is cut. */
export function cut(line: string, width: number): string {
  if (stripVTControlCharacters(line).length <= width) return line;
  let kept = "";
  let room = width - 1;
  for (const [part] of line.matchAll(PAINTED)) {
    if (part.length > 1 && part.startsWith("\u001b")) kept += part;
    else if (room > 0) {
      kept += part;
      room -= 1;
    }
  }
  return `${kept}…`;
}

function toCell(cell: Cell | string | undefined): Cell {
  const given = typeof cell === "object" ? cell : { text: cell ?? "" };
  return { ...given, text: printable(given.text) };
}

function shrink(columns: readonly Column[], widths: number[], available: number): void {
  const least = columns.map((column, index) =>
    column.leastWidth === undefined
      ? (widths[index] ?? 0)
      : Math.max(column.title.length, column.leastWidth),
  );
  for (let excess = widths.reduce((a, b) => a + b, 0) - available; excess > 0; excess--) {
    let widest = -1;
    for (const [index, width] of widths.entries()) {
      if (width > (least[index] ?? 0) && width > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function writeCell(cell: Cell, column: Column, width: number, layout: Layout): string {
  const text = cell.text.length > width ? `${cell.text.slice(0, width - 1)}…` : cell.text;
  const space = " ".repeat(width - text.length);
  const shown = cell.colour === undefined ? text : layout.paint(cell.colour, text);
  return column.align === "right" ? `${space}${shown}` : `${shown}${space}`;
}
