/** A file that is there whole or not at all, whatever happens while it is written. */
import {
  closeSync,
  fsyncSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

export interface StateFile {
  /** @returns null where there is none @throws whatever the disk says */
  readonly read: () => string | null;
  /** Durable when it returns; when it throws, the old text stands. */
  readonly replace: (text: string) => void;
  /** Gives what is there now another name, too, under which a person finds it after it was replaced. */
  readonly keepAs: (name: string) => void;
}

/** The file at a path; its directory is made where it is missing. */
export class DiskFile implements StateFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  read(): string | null {
    try {
      return readFileSync(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw error;
    }
  }

  replace(text: string): void {
    const temporary = `${this.#path}.new`;
    const directory = dirname(this.#path);
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    // The directory is the daemon's user's: root, who releases without a daemon, must not write through a link in it,
    // nor leave a file that the daemon can't read.
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: 0o600, flush: true, flag: "wx" });
    if (process.getuid?.() === 0) {
      const owner = statSync(directory);
      lchownSync(temporary, owner.uid, owner.gid);
    }
    renameSync(temporary, this.#path);
    // A rename is durable once its directory is.
    const fd = openSync(directory, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  keepAs(name: string): void {
    rmSync(name, { force: true });
    // A link takes no room on a full disk, and leaves no moment without the file itself.
    linkSync(this.#path, name);
  }
}
