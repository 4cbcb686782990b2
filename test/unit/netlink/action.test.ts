import assert from "node:assert/strict";
import {
  deleteUplinkActionMessage,
  parseUplinkActions,
  setUplinkActionMessage,
} from "../../../src/netlink/action.ts";
import { assertSameRequest, messageOf, messageOfBytes } from "./fixture.ts";
import { ACTIONS, REQUESTS } from "./golden.ts";

const INDEX = 0x70000011;
const TCAMSG_BYTES = 4;

describe("shared actions", () => {
  const action = { kind: "uplink-action", index: INDEX, queueId: 1 } as const;

  it("are made and deleted by the very bytes of tc(8)", () => {
    assertSameRequest(setUplinkActionMessage(action), REQUESTS.uplinkAction, TCAMSG_BYTES);
    assertSameRequest(deleteUplinkActionMessage(INDEX), REQUESTS.deleteAction, TCAMSG_BYTES);
  });

  it("are found among the filters' own in a dump", () => {
    const [dump = ""] = ACTIONS;
    // It was made with another control action, `continue`, which an earlier design had.
    assert.deepEqual(parseUplinkActions(messageOf(dump)), [{ ...action, queueId: -1 }]);
  });

  it("of another shape never equal a wanted one", () => {
    const bytes = setUplinkActionMessage(action);
    const text = Buffer.from(bytes).toString("hex");
    // The control action 3 (pipe) becomes 0 (pass).
    const changed = text.replace("0000000003000000", "0000000000000000");
    assert.notEqual(changed, text);
    assert.deepEqual(parseUplinkActions(messageOf(changed)), [{ ...action, queueId: -1 }]);
    assert.deepEqual(parseUplinkActions(messageOfBytes(bytes)), [action]);
  });
});
