/** What differs between two texts, line by line. Pure. */

export interface DiffLine {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

/** The shortest way from one to the other; for texts of some ten lines, since it compares each with each. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  // How many lines are common from here on, by the places in both.
  const common = Array.from({ length: before.length + 1 }, () =>
    new Array<number>(after.length + 1).fill(0),
  );
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const row = common[i] as number[];
      row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [old, fresh] = [before[i], after[j]];
    if (old !== undefined && old === fresh) {
      lines.push({ mark: " ", text: old });
      i += 1;
      j += 1;
    } else if (fresh === undefined || (old !== undefined && at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ mark: "-", text: old ?? "" });
      i += 1;
    } else {
      lines.push({ mark: "+", text: fresh });
      j += 1;
    }
  }
  return lines;
}
