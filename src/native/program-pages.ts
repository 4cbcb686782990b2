/**
 * The pages of the runtime's own program that this process has mapped. Its start reads most of them, its work less than
 * half. Those that are let go stay in the kernel's cache of files, from where a use maps them again within a microsecond;
 * what nobody maps is the first that the kernel takes when memory is short.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { dropPages } from "./libc.ts";

/** One mapping of /proc/PID/smaps. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly file: string;
  /** Each of its pages is the file's, and can never have been another: nothing is lost when it is let go. */
  readonly isWhollyFile: boolean;
}

/** Reads the mappings of files out of /proc/PID/smaps; what isn't said of one counts against it. Source: proc_pid_smaps(5). */
export function parseMappings(smaps: string): Mapping[] {
  const mappings: Mapping[] = [];
  const heads = [...smaps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ +(\/.*)$/gm)];
  for (const head of heads) {
    const [line, start = "", end = "", permissions = "", file = ""] = head;
    const [fields = ""] = smaps.slice(head.index + line.length).split(/^[0-9a-f]+-[0-9a-f]+ /m, 1);
    // What was writable once, as what the dynamic linker relocates is, counts for committed memory ever since ("ac"); its
    // own pages may be out on swap.
    const flags = /^VmFlags:(.*)$/m.exec(fields)?.[1]?.split(" ");
    mappings.push({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      file,
      isWhollyFile:
        !permissions.includes("w") &&
        /^Anonymous: +0 kB$/m.test(fields) &&
        /^Swap: +0 kB$/m.test(fields) &&
        flags?.includes("ac") === false,
    });
  }
  return mappings;
}

/**
 * Lets go of the program's pages where each of them is the file's. Does nothing where /proc doesn't tell.
 * @returns how many bytes of mappings were looked through
 */
export function dropProgramPages(): number {
  let bytes = 0;
  try {
    const program = readlinkSync("/proc/self/exe");
    for (const mapping of parseMappings(readFileSync("/proc/self/smaps", "latin1"))) {
      const { start, end, file, isWhollyFile } = mapping;
      if (file !== program || !isWhollyFile) continue;
      if (dropPages(start, end - start) === 0) bytes += end - start;
    }
  } catch {
    // A kernel or a sandbox without smaps: then they stay.
  }
  return bytes;
}

/** What this process has in memory that no file has, in bytes; null where /proc doesn't tell. */
export function ownBytes(): number | null {
  try {
    const own = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    return own === undefined ? null : Number(own) * 1024;
  } catch {
    return null;
  }
}
