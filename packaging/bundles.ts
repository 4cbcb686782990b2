/** The bundles of dist/, each with the file that it begins with. */
export const BUNDLES = {
  uplinkd: "src/daemon/uplinkd.ts",
  uplinkctl: "src/cli/uplinkctl.ts",
  "monitor-worker": "src/netlink/monitor-worker.ts",
} as const;
