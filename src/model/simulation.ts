/**
 * What `uplinkctl simulate --json` prints and GET /v1/simulate answers: its keys are a promise. Arrays are in the
 * order of the file, or of the host; rates whole bits per second.
 */
export interface SimulationDocument {
  readonly failed: readonly string[];
  /** The worst of the teams' conditions. */
  readonly condition: string;
  readonly uplinks: readonly {
    readonly name: string;
    readonly team: string;
    readonly usable: boolean;
    /** Speed less headroom; 0 where not usable. */
    readonly capacityBitsPerSecond: number;
    readonly committedBitsPerSecond: number;
    readonly reason: string;
  }[];
  /** The host's own classes on each usable uplink. */
  readonly host: readonly {
    readonly uplink: string;
    /** `default`, or a name that the configuration gives a class: management, migration, storage. */
    readonly name: string;
    /** What stands in the kernel. */
    readonly reservationBitsPerSecond: number;
    readonly limitBitsPerSecond: number;
    /** What it would get there, if all of it went by this uplink. */
    readonly expectedBitsPerSecond: number;
  }[];
  readonly vnics: readonly {
    readonly domain: string;
    readonly mac: string;
    readonly priority: string;
    /** Where it sends after the loss; null where no uplink is usable. */
    readonly home: string | null;
    readonly homeBeforeLoss: string | null;
    readonly reservationBitsPerSecond: number;
    readonly expectedBitsPerSecond: number;
    readonly unmetReservationBitsPerSecond: number;
    /** What stands in the kernel on each usable uplink. */
    readonly classes: readonly {
      readonly uplink: string;
      readonly reservationBitsPerSecond: number;
      readonly limitBitsPerSecond: number;
    }[];
    readonly reasons: readonly string[];
  }[];
  readonly domains: readonly {
    readonly name: string;
    readonly action: string;
    readonly reasons: readonly string[];
  }[];
}
