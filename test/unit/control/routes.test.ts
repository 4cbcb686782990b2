import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRoute } from "../../../src/control/routes.ts";

const piece = fc.oneof(
  fc.constantFrom(
    "/v1",
    "/status",
    "/events",
    "/explain",
    "/simulate",
    "/hold",
    "/drain",
    "/release",
  ),
  fc.constantFrom(
    "/",
    "//",
    "/..",
    "?",
    "&",
    "=",
    "#",
    "%",
    "%00",
    "%zz",
    "%c3%28",
    ":",
    "@",
    "[::1]",
  ),
  fc.constantFrom(
    "since=",
    "follow=1",
    "fail=nic0",
    "force=1",
    "9".repeat(400),
    "-1",
    "\u0000",
    "\n",
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
);
const target = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
const method = fc.constantFrom("GET", "POST", "PUT", "", "get", "CONNECT");

describe("a request's route", () => {
  it("is found or refused, whatever is asked, and never thrown", function () {
    this.timeout(20_000);
    fc.assert(
      fc.property(
        method,
        target,
        fc.constantFrom("read", "full", "metrics"),
        (verb, url, access) => {
          const route = parseRoute(verb, url, access);
          if (route.kind !== "refused") {
            assert.ok(
              access === "full" || verb === "GET",
              `${verb} ${url} on the socket for reading`,
            );
            if (access === "metrics") assert.equal(route.kind, "metrics");
            if (route.kind === "events") assert.ok(Number.isSafeInteger(route.sinceSequence));
            return;
          }
          assert.ok(route.httpStatus >= 400 && route.httpStatus < 500);
          assert.ok(
            JSON.stringify(route.answer).length < 1000,
            "a refusal repeats little of what was asked",
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});
