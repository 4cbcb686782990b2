/** Judges a document by its published shape. */
import assert from "node:assert/strict";
import type { z } from "zod";

/** Every key that the shape has must be there as it says, and none that it hasn't. */
export function assertDocument(shape: z.ZodType, document: unknown): void {
  const read = shape.safeParse(document);
  assert.ok(read.success, String(read.error?.message));
  // What the shape doesn't know is left out by reading.
  assert.deepEqual(read.data, document);
}
