/** What can be asked over the API, each with the shape of its answer; the API's description is made of it. */
import type { z } from "zod";
import {
  confirmDocument,
  drainDocument,
  enableDocument,
  eventPageDocument,
  explanationDocument,
  holdDocument,
  releaseDocument,
  simulationDocument,
  statusDocument,
} from "./documents.ts";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly description: string;
  /** May be given several times. */
  readonly repeated?: true;
}

export interface Operation {
  readonly method: "GET" | "POST";
  /** With the path's parameters in braces. */
  readonly path: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  /** null: not JSON. */
  readonly answer: { readonly name: string; readonly document: z.ZodType } | null;
}

const domain: Parameter = { name: "domain", in: "path", description: "A domain's name." };
const uplink: Parameter = { name: "uplink", in: "path", description: "An uplink's name." };
const query = (name: string, description: string): Parameter => ({
  name,
  in: "query",
  description,
});
const hold = { name: "Hold", document: holdDocument };
const drain = { name: "Drain", document: drainDocument };
const release = { name: "Release", document: releaseDocument };

/** In the order of the routes (routes.ts); a unit test holds that each has one of the other. */
export const OPERATIONS: readonly Operation[] = [
  {
    method: "GET",
    path: "/metrics",
    summary: "Metrics, as Prometheus' text",
    parameters: [],
    answer: null,
  },
  {
    method: "GET",
    path: "/v1/status",
    summary: "Teams, uplinks, domains and problems",
    parameters: [],
    answer: { name: "Status", document: statusDocument },
  },
  {
    method: "GET",
    path: "/v1/explain/{domain}",
    summary: "Why a domain has what it has",
    parameters: [domain],
    answer: { name: "Explanation", document: explanationDocument },
  },
  {
    method: "GET",
    path: "/v1/simulate",
    summary: "What a loss would bring; changes nothing",
    parameters: [{ ...query("fail", "An uplink that is lost."), repeated: true }],
    answer: { name: "Simulation", document: simulationDocument },
  },
  {
    method: "GET",
    path: "/v1/events",
    summary: "What happened; with follow=1 a stream of server-sent events",
    parameters: [
      query("since", "Only what has a higher sequence number."),
      query("follow", "1: goes on as text/event-stream, an event's sequence as its id."),
    ],
    answer: { name: "EventPage", document: eventPageDocument },
  },
  {
    method: "POST",
    path: "/v1/hold/{domain}",
    summary: "Keeps uplinkd from ever pausing a domain",
    parameters: [domain],
    answer: hold,
  },
  {
    method: "POST",
    path: "/v1/unhold/{domain}",
    summary: "Lets a domain's policy decide again",
    parameters: [domain],
    answer: hold,
  },
  {
    method: "POST",
    path: "/v1/drain/{uplink}",
    summary: "Moves everything off an uplink",
    parameters: [uplink, query("force", "1: although reservations break.")],
    answer: drain,
  },
  {
    method: "POST",
    path: "/v1/undrain/{uplink}",
    summary: "Puts an uplink back into service",
    parameters: [uplink],
    answer: drain,
  },
  {
    method: "POST",
    path: "/v1/release",
    summary: "Restores the host, and stays out",
    parameters: [],
    answer: release,
  },
  {
    method: "POST",
    path: "/v1/observe",
    summary: "Restores the host, and goes on showing",
    parameters: [],
    answer: release,
  },
  {
    method: "POST",
    path: "/v1/confirm",
    summary: "Keeps what was enabled on probation",
    parameters: [],
    answer: { name: "Confirmation", document: confirmDocument },
  },
  {
    method: "POST",
    path: "/v1/enable",
    summary: "Puts the plan in force",
    parameters: [
      query("confirmMs", "Rolled back after so many milliseconds unless confirmed."),
      query("team", "This team only."),
      query("domain", "This domain only, as a canary."),
    ],
    answer: { name: "Enabled", document: enableDocument },
  },
];
