/** So little that a program that wants all of it, page by page, gets there within a minute; nothing here needs more. */
export const CHAOS_MEMORY_MIB = 2048;
