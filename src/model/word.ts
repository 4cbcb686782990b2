/** "Did you mean": the nearest of the known words. */

/**
 * The known word that is nearest to a mistyped one.
 * @returns null where nothing is near enough to be worth a suggestion
 */
export function nearestWord(mistyped: string, known: Iterable<string>): string | null {
  // Text from outside may be long; a word that is far longer than any of ours is no typing mistake.
  if (mistyped.length > 64) return null;
  const word = mistyped.toLowerCase();
  let best: { readonly candidate: string; readonly edits: number } | null = null;
  for (const candidate of known) {
    const other = candidate.toLowerCase();
    const edits = sameLetters(word, other) ? 1 : editDistance(word, other);
    if (best === null || edits < best.edits) best = { candidate, edits };
  }
  if (best === null) return null;
  // A third of the letters, and at least one: `prio` for `priority` is caught by the prefix rule.
  const allowed = Math.max(1, Math.floor(word.length / 3));
  if (best.edits <= allowed) return best.candidate;
  if (word.length < 2) return null;
  for (const candidate of known) if (candidate.toLowerCase().startsWith(word)) return candidate;
  return null;
}

/** `hold_down` and `hold-down` for `holdDown`. */
function sameLetters(a: string, b: string): boolean {
  return a.replaceAll(/[-_]/g, "") === b.replaceAll(/[-_]/g, "");
}

/** Levenshtein's distance, two neighbours that changed places counting as one edit. */
function editDistance(a: string, b: string): number {
  let above: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let edits = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        edits = Math.min(edits, (above[j - 2] ?? 0) + 1);
      next.push(edits);
    }
    above = row;
    row = next;
  }
  return row[b.length] ?? a.length;
}
