/** What takes input from outside, each as a function of bytes that throws only what is no error of ours: a bug. */
import { type Access, parseRoute } from "../../src/control/routes.ts";
import { parseHookRequest } from "../../src/hook/request.ts";
import {
  listActiveDomains,
  phaseOf,
  readAllStates,
  readDomain,
  readDomainState,
  readJob,
} from "../../src/libvirt/domain.ts";
import { parseDomainXml } from "../../src/libvirt/domain-xml.ts";
import { parseSignal } from "../../src/libvirt/event.ts";
import { UplinkError } from "../../src/model/errors.ts";
import { parseActions, parseSharedActions } from "../../src/netlink/action.ts";
import { Attributes } from "../../src/netlink/attribute.ts";
import { parseClass } from "../../src/netlink/class.ts";
import { parseAnswer } from "../../src/netlink/error.ts";
import { parseFilter } from "../../src/netlink/filter.ts";
import { objectsOf } from "../../src/netlink/found-filter.ts";
import { parseLink } from "../../src/netlink/link.ts";
import { type Message, parseMessages } from "../../src/netlink/message.ts";
import { parseQdisc } from "../../src/netlink/qdisc.ts";
import { buildConfig } from "../../src/policy/config.ts";
import { parseConfigFile } from "../../src/policy/config-file.ts";
import { parsePolicyFile } from "../../src/policy/policy-file.ts";
import { parseScenario } from "../../src/policy/scenario.ts";

export type Target = (input: Uint8Array) => unknown;

const UUID = "00000000-0000-0000-0000-000000000001";

const text =
  (take: (text: string) => unknown): Target =>
  (input) =>
    take(new TextDecoder().decode(input));

/** Of JSON, where `{"bigint": "7"}` stands for a 64-bit number of D-Bus; what isn't JSON is a string. */
const value =
  (take: (value: unknown) => unknown): Target =>
  (input) => {
    const json = new TextDecoder().decode(input);
    let parsed: unknown = json;
    try {
      parsed = JSON.parse(json, (_key, one: unknown) =>
        typeof one === "object" &&
        one !== null &&
        "bigint" in one &&
        /^\d+$/.test(String(one.bigint))
          ? BigInt(String(one.bigint))
          : one,
      );
    } catch {
      // A string, then.
    }
    return take(parsed);
  };

export const TARGETS: Readonly<Record<string, Target>> = {
  "domain-xml": text((xml) => refused(() => parseDomainXml(xml))),
  "hook-request": text((request) => refused(() => parseDomainXml(parseHookRequest(request).xml))),
  config: text((yaml) => {
    const parsed = parseConfigFile("u.yaml", yaml);
    return parsed.ok ? buildConfig([parsed.value]) : null;
  }),
  policy: text((yaml) => parsePolicyFile("p.yaml", yaml)),
  scenario: text((yaml) => parseScenario("s.yaml", yaml)),
  route: text((line) => {
    const [method = "", ...url] = line.split(" ");
    for (const access of ["read", "full", "metrics"] satisfies Access[])
      parseRoute(method, url.join(" "), access);
  }),
  "libvirt-answer": value(async (answer) => {
    const caller = { call: async () => answer };
    await outcome(listActiveDomains(caller));
    await outcome(readAllStates(caller, 1));
    const state = await outcome(readDomainState(caller, UUID));
    if (state !== null) phaseOf(state);
    await outcome(readDomain(caller, UUID));
    await outcome(readJob(caller, UUID));
  }),
  "libvirt-signal": value((signal) => {
    const [path = "", name = "", member = "", ...body] = Array.isArray(signal) ? signal : [signal];
    parseSignal({ path: String(path), interface: String(name), member: String(member), body });
  }),
  netlink: (input) => {
    refused(() => [...parseMessages(input)].map(parseAll));
    const type = (input[4] ?? 0) | ((input[5] ?? 0) << 8);
    parseAll({ type, flags: 0, sequence: 1, portId: 0, body: input.subarray(16) });
    refused(() => parseActions(Attributes.parse("fuzz", input.subarray(16))));
  },
};

function parseAll(message: Message): void {
  refused(() => parseLink(message));
  refused(() => parseQdisc(message));
  refused(() => parseClass(message));
  refused(() => parseSharedActions(message));
  refused(() => parseAnswer(message));
  refused(() => {
    const filter = parseFilter(message);
    return filter === null ? [] : objectsOf([filter], "x");
  });
}

/** An error of ours is an answer. */
function refused(take: () => unknown): void {
  try {
    take();
  } catch (error) {
    if (!(error instanceof UplinkError)) throw error;
  }
}

async function outcome<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof UplinkError) return null;
    throw error;
  }
}
