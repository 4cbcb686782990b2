import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorDocument } from "../../../src/control/documents.ts";
import { describeApi } from "../../../src/control/openapi.ts";
import { OPERATIONS, type Operation } from "../../../src/control/operations.ts";
import { PATHS } from "../../../src/control/routes.ts";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { assertDocument } from "../document.ts";
import { FakeDaemon } from "./fake-daemon.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

describe("the API's operations", () => {
  let directory: string;
  let server: ControlServer;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-api-"));
    const path = join(directory, "control.sock");
    server = await listenControl({
      handlers: new FakeDaemon(),
      access: "full",
      listen: { path, mode: 0o600 },
      onError: (error) => assert.fail(String(error)),
    });
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  function ask(method: string, path: string, headers = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const socketPath = join(directory, "control.sock");
      const asked = request({ socketPath, method, path, headers, agent: false }, (answer) => {
        let text = "";
        answer.on("data", (chunk) => {
          text += chunk;
        });
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
        );
      });
      asked.on("error", reject);
      asked.end();
    });
  }

  const urlOf = ({ path }: Operation) =>
    path.replace("{domain}", "web1").replace("{uplink}", "eno1?force=1");

  it("are the routes, in the same order", () => {
    const patterns = OPERATIONS.map(({ method, path }) => {
      const pattern = path.replaceAll("/", "\\/").replaceAll(/\{\w+\}/g, "([^/]+)");
      return `${method} ^${pattern}$`;
    });
    assert.deepEqual(
      patterns,
      PATHS.map(({ method, pattern }) => `${method} ${pattern.source}`),
    );
  });

  for (const operation of OPERATIONS) {
    it(`answer as described: ${operation.method} ${operation.path}`, async () => {
      const { headers, status, text } = await ask(operation.method, urlOf(operation));
      assert.equal(status, 200, text);
      assert.equal(headers["uplinkd-api"], "1");
      if (operation.answer === null) assert.match(headers["content-type"] ?? "", /^text\/plain/);
      else assertDocument(operation.answer.document, JSON.parse(text));
      const other = await ask(operation.method === "GET" ? "POST" : "GET", urlOf(operation));
      assert.equal(other.status, 405);
      assertDocument(errorDocument, JSON.parse(other.text));
    });
  }

  it("are refused as described where a name is unknown", async () => {
    for (const operation of OPERATIONS.filter(({ path }) => path.includes("{"))) {
      const { status, text } = await ask(operation.method, operation.path.replace(/\{\w+\}/, "x"));
      assert.equal(status, 404);
      assertDocument(errorDocument, JSON.parse(text));
    }
  });

  it("are in the description, every reference of which leads somewhere", () => {
    const text = JSON.stringify(describeApi());
    const { components, paths } = JSON.parse(text);
    for (const { method, path } of OPERATIONS) assert.ok(paths[path][method.toLowerCase()], path);
    const references = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)];
    assert.ok(references.length > OPERATIONS.length);
    for (const [, name] of references) assert.ok(components.schemas[name ?? ""], String(name));
  });

  it("speak the newest version that both sides know, and say so where there is none", async () => {
    for (const asked of ["1", "1, 2", "2,1"]) {
      const { headers, status } = await ask("GET", "/v1/status", { "uplinkd-api": asked });
      assert.deepEqual([status, headers["uplinkd-api"]], [200, "1"]);
    }
    const { headers, status, text } = await ask("GET", "/v1/status", { "uplinkd-api": "2, 3" });
    assert.deepEqual([status, headers["uplinkd-api"]], [406, "1"]);
    assertDocument(errorDocument, JSON.parse(text));
    assert.match(text, /restart uplinkd/);
  });
});
