import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { renderStatus } from "../../../src/cli/status-view.ts";
import { plain } from "../../../src/cli/table.ts";
import { renderTop } from "../../../src/cli/top-view.ts";
import { exampleStatus } from "../control/fake-daemon.ts";

const page = readFileSync(new URL("../../../docs/reference/screens.md", import.meta.url), "utf8");
const nowMs = exampleStatus.daemon.startedAtMs + 101_000;
const view = { sort: "used", reverse: false, offset: 0, height: 24, note: "" } as const;

/** What was captured has times of its own. */
function withoutTimes(lines: readonly string[]): readonly string[] {
  const times = /up \S+, checked \S+ ago|\d\d:\d\d:\d\d$/;
  return lines.map((line) => line.trimEnd().replace(times, "TIME")).filter((line) => line !== "");
}

describe("docs/reference/screens.md", () => {
  for (const width of [80, 120, 200]) {
    for (const command of ["status", "top"] as const) {
      it(`is what ${command} shows today in ${width} columns (npm run screens makes it)`, () => {
        const [, shown = ""] = page.split(`## ${command}, ${width} columns\n\n\`\`\`text\n`);
        const captured = shown.split("\n```")[0] ?? "";
        const layout = { width, paint: plain };
        const today =
          command === "top"
            ? renderTop(exampleStatus, view, nowMs, layout)
            : renderStatus(exampleStatus, nowMs, layout);
        assert.deepEqual(withoutTimes(captured.split("\n")), withoutTimes(today));
      });
    }
  }
});
