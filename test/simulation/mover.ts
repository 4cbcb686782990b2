/** A model of libvirtd's live migrations: one job a guest, which goes on whoever asked for it, and may be refused. */
import type { Clock } from "../../src/model/clock.ts";
import type { Guest } from "./guest.ts";
import type { Random } from "./random.ts";

/** A guest's last moment at the source, until nothing of it is here. */
const GONE_MS = 40;

export class Mover {
  /** By uuid, how each job that is under way ends: with an error, or null. */
  readonly #jobs = new Map<string, (error: string | null) => void>();
  readonly #orphans = new Set<string>();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** How many are on their way whom the daemon may know of. */
  get count(): number {
    return [...this.#jobs.keys()].filter((uuid) => !this.#orphans.has(uuid)).length;
  }

  /** Whoever asked for it is known to nobody any more. */
  disown({ uuid }: Guest): void {
    if (this.#jobs.has(uuid)) this.#orphans.add(uuid);
  }

  /** Moving, and the daemon may know of it. */
  isMovedByUs(guest: Guest): boolean {
    return this.isMoving(guest) && !this.#orphans.has(guest.uuid);
  }

  isMoving({ uuid }: Guest): boolean {
    return this.#jobs.has(uuid);
  }

  /**
   * Begins.
   * @param leave the guest stops here, and what is left of it goes
   * @param done told how it ended; where not at once, later
   */
  begin(guest: Guest, leave: () => void, done: (error: string | null) => void): void {
    if (this.isMoving(guest)) {
      done("cannot acquire state change lock");
      return;
    }
    const end = (error: string | null) => {
      if (this.#jobs.get(guest.uuid) !== end) return;
      this.#jobs.delete(guest.uuid);
      this.#orphans.delete(guest.uuid);
      done(error);
    };
    this.#jobs.set(guest.uuid, end);
    if (this.#random.chance(0.3)) {
      this.#clock.after(this.#random.between(5, 500), () => end("the destination refused"));
      return;
    }
    this.#clock.after(this.#random.pick([300, 5000, 30_000]), () => {
      if (this.#jobs.get(guest.uuid) !== end) return;
      if (guest.state !== "running") {
        end("domain is not running");
        return;
      }
      leave();
      this.#clock.after(GONE_MS, () => end(null));
    });
  }

  /** What virDomainAbortJob does. */
  abort({ uuid }: Guest): void {
    const end = this.#jobs.get(uuid);
    if (end === undefined) throw new Error("no job is active on the domain");
    end("canceled by client");
  }

  /** The guest has ended, whoever ended it: its job ends with its process (qemuProcessStop). */
  stop({ uuid }: Guest): void {
    this.#jobs.get(uuid)?.("domain is not running");
  }

  /** libvirtd has restarted: it cancels what it finds under way. */
  abortAll(): void {
    for (const end of [...this.#jobs.values()]) end("End of file while reading data");
  }
}
