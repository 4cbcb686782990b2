/** How much of a host is enabled: all of it, or a part as a canary. */

export type Scope =
  | { readonly kind: "host" }
  | { readonly kind: "team"; readonly team: string }
  | {
      readonly kind: "domain";
      readonly domain: string;
      /** That it was in when it was enabled: they stay managed while it doesn't run. */
      readonly teams: readonly string[];
    };

export const WHOLE_HOST: Scope = { kind: "host" };

/** `team bond0`, `domain web1`, `the whole host`. */
export function describeScope(scope: Scope): string {
  switch (scope.kind) {
    case "host":
      return "the whole host";
    case "team":
      return `team ${scope.team}`;
    case "domain":
      return `domain ${scope.domain}`;
  }
}
