/** How full something is, as text. Pure. Plain characters: they are the same in every terminal and font. */
import type { Cell, Colour } from "./table.ts";

/** From here on a person should look, and from there something queues: parts of the whole. */
const HIGH = 0.8;
const FULL = 0.95;

/**
 * `[|||||     ]  52%`.
 * @param used and @param whole in the same unit; null: not known
 * @param width of the bar without its brackets, characters
 */
export function loadBar(used: number | null, whole: number | null, width: number): Cell {
  if (used === null || whole === null || whole <= 0) return { text: `[${" ".repeat(width)}]    -` };
  const part = Math.max(0, used / whole);
  const marks = Math.min(width, Math.round(part * width));
  const percent = `${Math.min(999, Math.round(part * 100))}%`.padStart(5);
  return {
    text: `[${"|".repeat(marks)}${" ".repeat(width - marks)}]${percent}`,
    colour: colourOf(part),
  };
}

function colourOf(part: number): Colour {
  if (part >= FULL) return "red";
  return part >= HIGH ? "yellow" : "green";
}
