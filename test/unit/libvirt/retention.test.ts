import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parseDomainXml } from "../../../src/libvirt/domain-xml.ts";

const DOMAINS = 100;
const XML_BYTES = 50_000;
/** What is known of a domain without its XML. */
const MOST_BYTES = 10_000;

/** As it comes from a socket: a text of its own. */
function xmlOf(number: number): string {
  const mac = `52:54:00:00:00:${number.toString(16).padStart(2, "0")}`;
  const text = `<domain type="kvm">
  <name>a-web-server-of-production-${number}</name>
  <uuid>4dea22b3-1d52-d8f3-2516-78235501${number.toString(16).padStart(4, "0")}</uuid>
  <metadata>
    <uplink:network xmlns:uplink="urn:uplinkd:domain:1">
      <uplink:policy>a-policy-with-a-long-name</uplink:policy>
      <uplink:placement prefer="an-uplink-with-a-label" apart="another-web-server"/>
    </uplink:network>
  </metadata>
  <devices>
    <!-- ${"x".repeat(XML_BYTES)} -->
    <interface type="bridge"><mac address="${mac}"/><source bridge="br-production"/><target dev="vnet-production"/></interface>
  </devices>
</domain>`;
  return Buffer.from(text).toString();
}

describe("a domain's definition", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const usedBytes = () => {
    for (let round = 0; round < 2; round += 1) collect();
    return process.memoryUsage().heapUsed;
  };

  it("keeps nothing of the XML but what it says", () => {
    parseDomainXml(xmlOf(0));
    const before = usedBytes();
    const known = Array.from({ length: DOMAINS }, (_, index) => parseDomainXml(xmlOf(index)));
    const eachBytes = (usedBytes() - before) / DOMAINS;
    assert.equal(known.at(-1)?.vnics[0]?.mac, "52:54:00:00:00:63");
    assert.ok(eachBytes < MOST_BYTES, `${Math.round(eachBytes)} bytes a domain are kept`);
  });
});
