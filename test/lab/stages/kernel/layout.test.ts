import assert from "node:assert/strict";
import { applySteps } from "../../../../src/apply/kernel.ts";
import { findNewerLayout } from "../../../../src/daemon/layout.ts";
import { diffKernel } from "../../../../src/diff/diff.ts";
import { type KernelObject, kernelKey } from "../../../../src/model/kernel.ts";
import { CONTROL_MINOR, CONTROL_PROTOCOLS, DEFAULT_MINOR } from "../../../../src/model/layout.ts";
import { dumpKernel, dumpLinks } from "../../../../src/netlink/dump.ts";
import { RequestSocket } from "../../../../src/netlink/socket.ts";
import { resetToBare } from "../../bare.ts";
import { readJson, tc } from "../../command.ts";
import { buildHost } from "../../host.ts";
import { htbClass, megabit } from "./every-object.ts";
import { tcFilters } from "./tc-filters.ts";

interface TcFilter {
  readonly options?: { readonly handle?: number };
}

const EGRESS = "dev bond0 egress protocol all pref 7570";
const OURS: readonly KernelObject[] = [
  { kind: "clsact", device: "bond0" },
  { kind: "catch-all", device: "bond0", minor: null, queueId: 0 },
];
/** The control class, and what leads there. */
const CONTROL: readonly KernelObject[] = [
  { kind: "htb", device: "nic0", defaultMinor: DEFAULT_MINOR },
  htbClass("nic0", CONTROL_MINOR, null, megabit, megabit, 0),
  ...CONTROL_PROTOCOLS.map(
    ({ name }) =>
      ({ kind: "control", device: "nic0", protocol: name, minor: CONTROL_MINOR }) as const,
  ),
  { kind: "clsact", device: "nic0" },
];

describe("what another version has put into the kernel", () => {
  let socket: RequestSocket;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    socket = RequestSocket.open();
  });
  afterEach(() => socket.close());

  const read = () =>
    dumpKernel(socket, dumpLinks(socket), [{ bond: "bond0", ports: ["nic0", "nic1"] }]).objects;
  const apply = (steps: Parameters<typeof applySteps>[0]) => {
    const ifindexes = new Map(dumpLinks(socket).map((link) => [link.name, link.ifindex]));
    return applySteps(steps, socket, (name) => ifindexes.get(name));
  };
  const handles = () =>
    readJson<TcFilter>("tc", "filter show dev bond0 egress").flatMap(
      ({ options }) => options?.handle ?? [],
    );

  it("is taken over in one go where it has another form, and layout 2 is what tc shows as its handle", async () => {
    const wanted = new Map([
      ...read(),
      ...OURS.map((object) => [kernelKey(object), object] as const),
    ]);
    assert.deepEqual(await apply(diffKernel(read(), wanted)), []);
    assert.deepEqual([handles(), findNewerLayout(read())], [[2], null]);
    for (const handle of ["0x1", "0x5"]) {
      tc([
        `filter del ${EGRESS}`,
        `filter add ${EGRESS} handle ${handle} matchall action skbedit priority 7570:fff0 pipe`,
      ]);
      assert.ok(!read().has("catch-all bond0"), "it isn't as we write it");
      assert.deepEqual(await apply(diffKernel(read(), wanted)), [], "nothing is refused");
      assert.ok(read().has("catch-all bond0"));
      assert.deepEqual([handles(), diffKernel(read(), wanted)], [[2], []]);
    }
  });

  it("is taken away behind ours where it stood elsewhere, as layout 1's filters of vNICs did", async () => {
    tc([
      "qdisc add dev bond0 clsact",
      `filter add ${EGRESS} handle 0x1 matchall action skbedit priority 7570:fff0 continue`,
      "filter add dev bond0 egress protocol all pref 7571 handle 0x7 flower src_mac 52:54:00:00:00:01 action skbedit priority 7570:10",
    ]);
    const marked = () =>
      readJson<{ readonly pref: number }>("tc", "filter show dev bond0 egress").map(
        ({ pref }) => pref,
      );
    assert.ok(marked().includes(7571));
    const wanted = new Map(OURS.map((object) => [kernelKey(object), object] as const));
    assert.deepEqual(await apply(diffKernel(read(), wanted)), []);
    assert.deepEqual([...new Set(marked())], [7570]);
    assert.deepEqual(handles(), [2]);
  });

  it("is taken away from clsact where control protocols had their class there", async () => {
    const formerly = (priority: number, protocol: string) =>
      `filter add dev nic0 egress protocol ${protocol} pref ${priority} handle 0x1 flower skip_hw dst_mac 01:80:c2:00:00:00/44 action skbedit priority 7570:fff1 continue`;
    tc([
      "qdisc add dev nic0 root handle 7570: htb default 0xfff0",
      "class add dev nic0 parent 7570: classid 7570:fff1 htb rate 1mbit",
      "qdisc add dev nic0 clsact",
      ...CONTROL_PROTOCOLS.map(({ etherType }, index) =>
        formerly(7577 + index, `0x${etherType.toString(16).padStart(4, "0")}`),
      ),
    ]);
    assert.deepEqual(Object.keys(tcFilters("nic0", "egress")), ["7577", "7578", "7579"]);
    const wanted = new Map(CONTROL.map((object) => [kernelKey(object), object] as const));
    assert.deepEqual(await apply(diffKernel(read(), wanted)), []);
    assert.deepEqual(tcFilters("nic0", "egress"), {});
    assert.deepEqual(Object.keys(tcFilters("nic0", "parent 7570:")), ["7577", "7578", "7579"]);
    const strange = [...read().values()].filter(({ kind }) => kind === "unknown-filter");
    assert.deepEqual(strange, []);
  });

  it("is told by its handle where it is newer", () => {
    tc([
      "qdisc add dev bond0 clsact",
      `filter add ${EGRESS} handle 0x3 matchall action skbedit priority 7570:fff0 continue`,
    ]);
    assert.deepEqual(findNewerLayout(read()), { device: "bond0", layout: 3 });
  });
});
