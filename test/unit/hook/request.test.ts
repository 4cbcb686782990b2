import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatHookAnswer,
  HOOK_OPERATIONS,
  mayRefuse,
  parseHookRequest,
} from "../../../src/hook/request.ts";
import { HookError } from "../../../src/model/errors.ts";

const line = fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", " "));

describe("a hook's request", () => {
  it("gives back what the hook wrote, whatever stands in it", () => {
    fc.assert(
      fc.property(
        line.filter((text) => text !== ""),
        fc.constantFrom(...HOOK_OPERATIONS),
        line,
        line,
        fc.string({ unit: "binary" }),
        (domain, operation, subOperation, extra, xml) => {
          const text = `uplinkd-hook 1\n${domain}\n${operation}\n${subOperation}\n${extra}\n\n${xml}`;
          assert.deepEqual(parseHookRequest(text), { domain, operation, subOperation, extra, xml });
        },
      ),
    );
  });

  it("of another kind is refused with our own error, never another", () => {
    for (const text of [
      "",
      "GET / HTTP/1.1\r\n",
      "uplinkd-hook 2\nweb1\nstart\nbegin\n-\n\n",
      "uplinkd-hook 1\nweb1\nexplode\nbegin\n-\n\n",
      "uplinkd-hook 1\n\nstart\nbegin\n-\n\n",
      "uplinkd-hook 1\nweb1\nstart\nbegin\n-\n<domain/>",
      "uplinkd-hook 1\nweb1\nstart",
    ]) {
      assert.throws(() => parseHookRequest(text), HookError, JSON.stringify(text));
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.throws(() => parseHookRequest(text), HookError);
      }),
    );
  });

  it("may be refused only before the guest is there", () => {
    const refusable = HOOK_OPERATIONS.filter((operation) =>
      mayRefuse({ domain: "web1", operation, subOperation: "begin", extra: "-", xml: "" }),
    );
    assert.deepEqual(refusable, ["prepare", "migrate"]);
  });
});

describe("an answer to a hook", () => {
  it("is one line, whatever the reason holds", () => {
    assert.equal(formatHookAnswer({ accept: true }), "accept\n");
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (reason) => {
        const text = formatHookAnswer({ accept: false, reason });
        assert.match(text, /^refuse [^\n]*\n$/);
        assert.ok(text.length < 600);
      }),
    );
  });
});
