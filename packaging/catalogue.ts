/**
 * The ids of the log, written down twice from one list: for people (docs/reference/log.md; `node packaging/catalogue.ts`
 * writes it, a unit test says when it is due), and for journald, which shows it with `journalctl -x`.
 */
import { writeFileSync } from "node:fs";
import { messageIdOf } from "../src/daemon/message-id.ts";
import { EVENT_IDS, meaningOf } from "../src/model/event-id.ts";

/** Below the repository. */
const LOG_REFERENCE = "docs/reference/log.md";

/** @returns the text of docs/reference/log.md */
export function renderLogReference(): string {
  const rows = EVENT_IDS.map((id) => {
    const { means, todo = "" } = meaningOf(id);
    return `| \`${id}\` | ${means} | ${todo} | \`${messageIdOf(id)}\` |\n`;
  });
  return `# Log

One line an event, \`ID: MESSAGE\`, with journald's priorities (debug, info, notice, warning, err). Under systemd each is an
entry of journald's with fields of its own; started by hand, the daemon writes the lines to stderr. \`uplinkctl events\` has
the last 2000, \`--json\` with the same fields, \`--follow\` as they come.

| field | |
|---|---|
| \`MESSAGE_ID\` | the event's id as 128 bits, the same in every version; below |
| \`UPLINKD_EVENT\` | the event's id |
| \`REVISION\` | the plan that it belongs to, counted since the daemon's start: what one change brought about has one number |
| \`DOMAIN\`, \`MAC\`, \`TEAM\`, \`UPLINK\` | whom it is about, where it is about one |
| \`UPLINKD_...\` | what else there is: \`UPLINKD_MICROSECONDS\`, \`UPLINKD_DESTINATION\`, \`UPLINKD_DEVICE\` |

What wants a person since boot; one domain's story; all that one change brought about, each line explained; uplinks lost in thirty days:

\`\`\`console host
$ journalctl -u uplinkd -p warning -b
…
$ journalctl -u uplinkd DOMAIN=web1
…
$ journalctl -u uplinkd REVISION=12 -x
…
$ journalctl MESSAGE_ID=${messageIdOf("uplink-lost")} --since -30d
…
\`\`\`

The story of a failover: \`uplink-lost\`, \`loss-answered\`, \`announced\`, \`team-degraded\`, \`vnic-moved\`, \`domain-action\`,
\`domain-paused\` or \`domain-migrating\`; then \`uplink-returned\`, \`team-ok\`, \`vnic-moved\`, \`announced\`, \`domain-resumed\`.

journald's datagrams never hold up the daemon: what journald can't take is counted, and told as \`lines-lost\` with the next
that it takes.

| id | means | to do | \`MESSAGE_ID\` |
|---|---|---|---|
${rows.join("")}`;
}

/** @returns the text of journald's catalogue: /usr/lib/systemd/catalog/uplinkd.catalog */
export function renderCatalogue(): string {
  return EVENT_IDS.map((id) => {
    const { means, todo } = meaningOf(id);
    const subject = `uplinkd: ${id.replaceAll("-", " ")}`;
    const text = [means, ...(todo === undefined ? [] : [todo])].join("\n\n").replaceAll("`", "'");
    return `-- ${messageIdOf(id)}\nSubject: ${subject}\nDefined-By: uplinkd\nDocumentation: man:uplinkd(8)\n\n${text}\n`;
  }).join("\n");
}

if (import.meta.main) {
  writeFileSync(new URL(`../${LOG_REFERENCE}`, import.meta.url), renderLogReference());
}
