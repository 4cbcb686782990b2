import assert from "node:assert/strict";
import {
  deleteActionMessage,
  parseSharedActions,
  setActionMessage,
} from "../../../src/netlink/action.ts";
import { assertSameRequest, messageOf, messageOfBytes } from "./fixture.ts";
import { ACTIONS, REQUESTS } from "./golden.ts";

const INDEX = 0x70000011;
const TCAMSG_BYTES = 4;

describe("shared actions", () => {
  const action = { kind: "uplink-action", index: INDEX, queueId: 1 } as const;

  it("are made and deleted by the very bytes of tc(8)", () => {
    assertSameRequest(setActionMessage(action), REQUESTS.uplinkAction, TCAMSG_BYTES);
    assertSameRequest(
      deleteActionMessage({ kind: "uplink-action", index: INDEX, queueId: 0 }),
      REQUESTS.deleteAction,
      TCAMSG_BYTES,
    );
  });

  it("are found among the filters' own in a dump", () => {
    const [dump = ""] = ACTIONS;
    // It was made with another control action, `continue`, which an earlier design had.
    assert.deepEqual(parseSharedActions(messageOf(dump)), [{ ...action, queueId: -1 }]);
  });

  it("of another shape never equal a wanted one", () => {
    const bytes = setActionMessage(action);
    const text = Buffer.from(bytes).toString("hex");
    // The control action 3 (pipe) becomes 0 (pass).
    const changed = text.replace("0000000003000000", "0000000000000000");
    assert.notEqual(changed, text);
    assert.deepEqual(parseSharedActions(messageOf(changed)), [{ ...action, queueId: -1 }]);
    assert.deepEqual(parseSharedActions(messageOfBytes(bytes)), [action]);
  });
});
