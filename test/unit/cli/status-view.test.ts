import assert from "node:assert/strict";
import { renderStatus } from "../../../src/cli/status-view.ts";
import { painted, plain } from "../../../src/cli/table.ts";
import type { Mac } from "../../../src/model/mac.ts";
import type { Status } from "../../../src/model/status.ts";
import { exampleStatus } from "../control/fake-daemon.ts";

const layout = { width: 80, paint: plain };
const nowMs = exampleStatus.daemon.startedAtMs + 101_000;
const render = (status: Status) => renderStatus(status, nowMs, layout);

describe("status as text", () => {
  it("tells each team, its uplinks, each vNIC, what is degraded and what is wrong", () => {
    assert.deepEqual(render(exampleStatus), [
      "uplinkd 0.1.0, enforcing, libvirt up, up 101s, checked 1s ago",
      "",
      "team bond0 (active-backup): degraded, active port eno1",
      "  eno2 has no carrier",
      "  UPLINK  STATE       SPEED  CAPACITY  RESERVED     SENT  LOAD",
      "  eno1    usable      1gbit   950mbit   510mbit  400mbit  [|||||     ]  50%",
      "  eno2    no carrier  1gbit         -         -        -  [          ]    -",
      "  HOST       PRIORITY  RESERVED    LIMIT   SENT",
      "  default    normal      10mbit        -  1mbit",
      "  migration  low         60mbit  800mbit      -",
      "",
      "DOMAIN  VNIC   POLICY  PRIORITY  UPLINK     RESERVED     GETS     SENT",
      "web1    vnet0  gold    high      eno2>eno1   500mbit  850mbit  320mbit",
      "batch   vnet0  bronze  low       eno1              -   50mbit        -",
      "",
      "  reserved, holds with any one uplink lost: web1 vnet0",
      "  batch: paused by uplinkd; resumes by itself when it fits again",
      "",
      "problems",
      "  domain batch: there is no policy 'brnze' (known: bronze)",
    ]);
  });

  it("stays within 80 columns however long the names are", () => {
    const [domain] = exampleStatus.domains;
    const [vnic] = domain?.vnics ?? [];
    assert.ok(domain !== undefined && vnic !== undefined);
    const long: Status = {
      ...exampleStatus,
      domains: [
        {
          ...domain,
          name: "a-domain-with-quite-a-long-name.example.org",
          vnics: [
            {
              ...vnic,
              tap: null,
              policy: "a-policy-with-a-long-name",
              priority: "critical",
              home: "enp1234s0f0np0",
              via: "enp1234s0f1np1",
              reservationBitsPerSecond: 123.456e6,
              expectedBitsPerSecond: 123.456e6,
              sentBitsPerSecond: 123.456e6,
            },
          ],
        },
      ],
    };
    for (const line of render(long)) assert.ok(line.length <= 80, line);
  });

  it("marks what isn't shaped, and says why", () => {
    const [domain] = exampleStatus.domains;
    const [vnic] = domain?.vnics ?? [];
    assert.ok(domain !== undefined && vnic !== undefined);
    const lines = render({
      ...exampleStatus,
      domains: [
        {
          ...domain,
          vnics: [{ ...vnic, team: null, unshapedReason: "bridge br9 has no team's bond" }],
        },
      ],
    });
    assert.ok(lines.some((line) => /vnet0 +gold +high +not shaped$/.test(line)));
    assert.ok(lines.includes("  web1: vnet0 is not shaped: bridge br9 has no team's bond"));
  });

  it("tells of a vNIC that moves to and fro, not of one that moved and came back", () => {
    const [domain] = exampleStatus.domains;
    const [vnic] = domain?.vnics ?? [];
    assert.ok(domain !== undefined && vnic !== undefined);
    const movesTold = (recentMoves: number) =>
      render({ ...exampleStatus, domains: [{ ...domain, vnics: [{ ...vnic, recentMoves }] }] })
        .join("\n")
        .includes("vnet0 changed its uplink 3 times in the last 3 minutes");
    assert.deepEqual([2, 3].map(movesTold), [false, true]);
  });

  it("tells how even a team's load is, and what moves or would", () => {
    const [team] = exampleStatus.teams;
    assert.ok(team !== undefined);
    const move = {
      domain: "web1",
      mac: "52:54:00:00:00:01" as Mac,
      from: "eno1",
      to: "eno2",
      loadBitsPerSecond: 3e8,
      state: "suggested",
      reason: "from eno1 to eno2 with its 300mbit",
    } as const;
    const balance = {
      mode: "suggest",
      evenUtilisation: 0.4,
      uplinks: [],
      moves: [move],
      reason: "uneven by 20 %, 10 % are allowed",
    } as const;
    const lines = render({ ...exampleStatus, teams: [{ ...team, balance }] });
    assert.ok(lines.includes("  rebalancing suggest: uneven by 20 %, 10 % are allowed"));
    assert.ok(
      lines
        .map((line) => line.trim())
        .join(" ")
        .includes("would move web1 52:54:00:00:00:01 from eno1 to eno2 with its 300mbit"),
    );
  });

  it("says by whose tap frames came whose address isn't its own", () => {
    const [team] = exampleStatus.teams;
    assert.ok(team !== undefined);
    const frames = { forgedFrames: 7, unregisteredFrames: 0 };
    const sources = {
      forged: "drop",
      unregistered: "log",
      interfaces: [{ device: "vnet3", domain: "web2", ...frames }],
    } as const;
    const text = render({ ...exampleStatus, teams: [{ ...team, sources }] })
      .map((line) => line.trim())
      .join(" ");
    assert.ok(text.includes("source addresses: forged drop, unregistered log"));
    assert.ok(text.includes("vnet3 (web2) sent 7 frames with another vNIC's address, 0 with no"));
  });

  it("paints only when asked", () => {
    assert.ok(!render(exampleStatus).join("").includes("\u001b"));
    const colourful = renderStatus(exampleStatus, nowMs, { width: 80, paint: painted });
    assert.ok(colourful.join("").includes("\u001b[33mdegraded\u001b[39m"));
  });

  it("says so where there is nothing", () => {
    assert.ok(render({ ...exampleStatus, teams: [], domains: [] }).includes("no domains"));
  });
});
