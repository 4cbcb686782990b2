/** Which of a column's flags are set: found once, and asked for by every uplink and loss. */

/** By column; columns are never changed once others have them. */
const FOUND = new WeakMap<Uint8Array, readonly number[]>();

/** Indexes of the ones in a column that nobody changes any more, in ascending order. */
export function flaggedIn(column: Uint8Array): readonly number[] {
  let found = FOUND.get(column);
  if (found === undefined) {
    found = findFlagged(column);
    FOUND.set(column, found);
  }
  return found;
}

/** The same of a column that may still change. */
export function findFlagged(column: Uint8Array): readonly number[] {
  const found: number[] = [];
  // Mostly few are set: the search for the next one is the engine's.
  for (let index = column.indexOf(1); index >= 0; index = column.indexOf(1, index + 1))
    found.push(index);
  return found;
}
