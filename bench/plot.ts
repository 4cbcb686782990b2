/**
 * Draws the plots of docs/performance.md and docs/performance-lab.md from what was measured: `npm run bench:plot`.
 *
 *   node bench/plot.ts [FOLDER [FILE...]]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Result } from "./result.ts";

interface Plot {
  readonly file: string;
  readonly title: string;
  /** Which results, as bars in their order. */
  readonly of: RegExp;
  /** What is left of a result's name beside its bar. */
  readonly label: (what: string) => string;
}

const PLOTS: readonly Plot[] = [
  {
    file: "pulls.svg",
    title: "Frames lost by a pulled cable, one frame a millisecond",
    of: /^lost by a pull, [^/]*$/,
    label: (what) => what.replace("lost by a pull, ", ""),
  },
  ...[1000, 5000].map((vnics) => ({
    file: `programming-${vnics}.svg`,
    title: `Making the kernel objects of ${vnics} vNICs, and changing all rates`,
    of: new RegExp(`^(creating|changing the rates of) ${vnics} vNICs, [^/]*$`),
    label: (what: string) =>
      what.replace(/ the rates of| \d+ vNICs|classes and plain queues, /g, ""),
  })),
  {
    file: "frames.svg",
    title: "Frames of 60 bytes a second through bond and HTB",
    of: /^frames sent, [^/]*$/,
    label: (what) => what.replace("frames sent, ", ""),
  },
  {
    file: "reaction.svg",
    title: "From a lost link to the last byte, user space on the machine itself",
    of: /^link lost to last byte, .* on the machine itself$/,
    label: (what) => what.replace(/^link lost to last byte, |, user space.*$/g, ""),
  },
  ...["roomy", "crowded"].map((crowd) => ({
    file: `plan-${crowd}.svg`,
    title: `Planning domains x uplinks, all single losses included, ${crowd}`,
    of: new RegExp(`^${crowd} \\d+ x \\d+: (all anew|one domain changed)$`),
    label: (what: string) => what.replace(`${crowd} `, ""),
  })),
  {
    file: "failover.svg",
    title: "What a reaction to a lost link allocates",
    of: /: a reaction allocates$/,
    label: (what) => what.replace(": a reaction allocates", ""),
  },
];

const WIDTH = 760;
const LABEL_WIDTH = 330;
const VALUE_WIDTH = 90;
const ROW_HEIGHT = 22;
const TOP = 44;
const BOTTOM = 12;

/** A bar to the median for each result, with a line from the least to the most. */
function drawBars(title: string, label: Plot["label"], results: readonly Result[]): string {
  const most = Math.max(...results.map(({ max }) => max), Number.MIN_VALUE);
  const x = (value: number) => LABEL_WIDTH + (value / most) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH);
  const rows = results.map(({ what, unit, median, min, max }, index) => {
    const top = TOP + index * ROW_HEIGHT;
    const middle = top + ROW_HEIGHT / 2;
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escaped(label(what))}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${top + 3}" width="${round(x(median) - LABEL_WIDTH)}" height="${ROW_HEIGHT - 6}" fill="#4878a8"/>`,
      `<path d="M${round(x(min))} ${middle}H${round(x(max))}" stroke="#222" stroke-width="1.5"/>`,
      `<text x="${round(x(max)) + 6}" y="${middle + 4}">${median} ${escaped(unit)}</text>`,
    ].join("\n");
  });
  const height = TOP + results.length * ROW_HEIGHT + BOTTOM;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="12" y="18" font-size="14">${escaped(title)}</text>`,
    `<text x="12" y="34" fill="#555">bar: median; line: least to most</text>`,
    ...rows,
    "</svg>",
    "",
  ].join("\n");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const root = path.join(import.meta.dirname, "..");
const [folder = path.join(root, "docs/performance"), ...named] = process.argv.slice(2);
const results = path.join(root, "bench/results");
// The first is of a lab, by benchmark; the other one list.
const files =
  named.length > 0 ? named : ["lab.json", "bench.json"].map((name) => path.join(results, name));
const all = files.filter((file) => existsSync(file)).flatMap(readResults);
mkdirSync(folder, { recursive: true });
for (const plot of PLOTS) {
  const found = all.filter(({ what }) => plot.of.test(what));
  // A group that wasn't measured has no plot.
  if (found.length > 0) {
    writeFileSync(path.join(folder, plot.file), drawBars(plot.title, plot.label, found));
  }
}

function readResults(file: string): readonly Result[] {
  const { results } = JSON.parse(readFileSync(file, "utf8")) as {
    readonly results: readonly Result[] | Readonly<Record<string, readonly Result[]>>;
  };
  return Object.values(results).flat();
}
