/** What takes long was asked for: `run.ts --long`. */
export const isLong = process.env.UPLINKD_LAB_LONG === "yes";

/** `it` for a test that takes long beside short ones that it shares its set-up with; whole files are NAME.long.test.ts. */
export function itLong(title: string, body: () => Promise<void>, timeoutMs = 240_000): void {
  if (isLong) it(title, body).timeout(timeoutMs);
}
