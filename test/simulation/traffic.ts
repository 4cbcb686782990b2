/** What flows in the model: by which port and class each vNIC's frames leave, and what the classes count. */
import type { ClassCounters, HtbClass } from "../../src/model/kernel.ts";
import { DEFAULT_MINOR, ROOT_MINOR } from "../../src/model/layout.ts";
import type { KernelModel } from "./kernel.ts";
import { BOND } from "./links.ts";

/** The way of one vNIC's frames. */
export interface Way {
  readonly mac: string;
  /** null: no port can send. */
  readonly port: string | null;
  /** Our class that they are queued in; null: none that stands, they go out unshaped. */
  readonly class: HtbClass | null;
  /** Queued in the class that is meant for this vNIC, not in the host's. */
  readonly own: boolean;
  readonly discarded: boolean;
}

/** Follows a frame through the bond's filters and bonding's choice of port, as the driver would. */
export function wayOf(kernel: KernelModel, mac: string): Way {
  const filter = kernel.objects.get(`vnic ${BOND} ${mac}`);
  const catches = kernel.objects.has(`catch-all ${BOND}`);
  const action =
    filter?.kind === "vnic"
      ? kernel.objects.get(`uplink-action ${filter.actionIndex.toString(16)}`)
      : undefined;
  const mapping = action?.kind === "uplink-action" ? action.queueId : 0;
  const port = kernel.links.carrierOf(mapping)?.name ?? null;
  const minor = filter?.kind === "vnic" ? filter.minor : DEFAULT_MINOR;
  const found = kernel.objects.get(`class ${port} 7570:${minor.toString(16)}`);
  const shaped = filter?.kind === "vnic" || catches;
  const leaf = kernel.objects.get(`leaf ${port} 7570:${minor.toString(16)}`);
  return {
    mac,
    port,
    class: shaped && found?.kind === "class" ? found : null,
    own: filter?.kind === "vnic" && found?.kind === "class",
    discarded: leaf?.kind === "leaf" && leaf.queue.type === "blackhole",
  };
}

interface Totals {
  sentBytes: number;
  drops: number;
}

/** Size of every frame, bytes. */
const FRAME_BYTES = 1000;

/** Counts what flowed since the last look; rates in between are those of the moment of looking. */
export class Traffic {
  readonly #kernel: KernelModel;
  readonly #totals = new Map<string, Totals>();
  #atMs: number;

  constructor(kernel: KernelModel, nowMs: number) {
    this.#kernel = kernel;
    this.#atMs = nowMs;
  }

  /** @param offered what each vNIC that runs wants to send now, bits per second by MAC */
  count(offered: ReadonlyMap<string, number>, nowMs: number): void {
    const seconds = (nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    const wants = new Map<HtbClass, number>();
    for (const [mac, bitsPerSecond] of offered) {
      const { class: queue } = wayOf(this.#kernel, mac);
      if (queue !== null) wants.set(queue, (wants.get(queue) ?? 0) + bitsPerSecond);
    }
    const left = new Map<string, number>();
    for (const [{ device, rateBitsPerSecond }, want] of wants) {
      const root = this.#kernel.objects.get(`class ${device} 7570:${ROOT_MINOR.toString(16)}`);
      const capacity = root?.kind === "class" ? root.rateBitsPerSecond : 0;
      left.set(device, (left.get(device) ?? capacity) - Math.min(rateBitsPerSecond, want));
    }
    for (const [queue, want] of wants) {
      const sure = Math.min(queue.rateBitsPerSecond, want);
      const more = Math.min(
        Math.min(want, queue.ceilBitsPerSecond) - sure,
        Math.max(0, left.get(queue.device) ?? 0),
      );
      left.set(queue.device, (left.get(queue.device) ?? 0) - Math.max(0, more));
      const sent = sure + Math.max(0, more);
      const key = `${queue.device} ${queue.minor}`;
      const totals = this.#totals.get(key) ?? { sentBytes: 0, drops: 0 };
      totals.sentBytes += (sent * seconds) / 8;
      // Senders back off: of what doesn't fit, they try a tenth again.
      totals.drops += ((want - sent) * seconds) / 8 / FRAME_BYTES / 10;
      this.#totals.set(key, totals);
    }
  }

  read(ports: ReadonlySet<string>): readonly ClassCounters[] {
    const counters: ClassCounters[] = [];
    for (const object of this.#kernel.objects.values()) {
      if (object.kind !== "class" || !ports.has(object.device)) continue;
      const totals = this.#totals.get(`${object.device} ${object.minor}`);
      const sentBytes = Math.floor(totals?.sentBytes ?? 0);
      counters.push({
        device: object.device,
        minor: object.minor,
        sentBytes: BigInt(sentBytes),
        sentPackets: BigInt(Math.floor(sentBytes / FRAME_BYTES)),
        drops: Math.floor(totals?.drops ?? 0),
        backlogBytes: 0,
        queuedPackets: 0,
      });
    }
    return counters;
  }
}
