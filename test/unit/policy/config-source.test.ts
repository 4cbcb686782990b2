import assert from "node:assert/strict";
import { parse } from "yaml";
import { buildConfig } from "../../../src/policy/config.ts";
import { parseConfigFile } from "../../../src/policy/config-file.ts";
import { annotateSources, type ConfigText } from "../../../src/policy/config-source.ts";
import { writeConfig } from "../../../src/policy/config-text.ts";

function sourcesOf(...files: readonly ConfigText[]) {
  const read = files.map(({ file, text }) => {
    const parsed = parseConfigFile(file, text);
    assert.ok(parsed.ok);
    return parsed.value;
  });
  const effective = writeConfig(buildConfig(read));
  const { text, values } = annotateSources(effective, files);
  assert.deepEqual(parse(text), parse(effective), "reads back as the same");
  const of = (path: string) => {
    const found = values.find((value) => value.path === path);
    assert.ok(found, `${path} in ${values.map((value) => value.path).join(" ")}`);
    return found.source === null ? "default" : `${found.source.file}:${found.source.line}`;
  };
  return { text, of };
}

const MAIN = {
  file: "uplinkd.yaml",
  text: `resync: 5s
admission: {mode: enforce, survive: 1}
caps:
  - domain: "test-*"
    actions: [throttle]
teams:
  - bond: bond0
    headroom: 7%
    uplinks:
      - eno1
      - name: eno2
        speed: 10gbit
  - {bond: bond1, floor: 1mbit}
`,
};

describe("the sources of a configuration", () => {
  it("are file and line of each value, or that it is a default", () => {
    const { of, text } = sourcesOf(MAIN);
    assert.equal(of("resync"), "uplinkd.yaml:1");
    assert.equal(of("admission"), "uplinkd.yaml:2");
    assert.equal(of("survive"), "uplinkd.yaml:2");
    assert.equal(of("maxPause"), "default");
    assert.equal(of("teams[bond0].headroom"), "uplinkd.yaml:8");
    assert.equal(of("teams[bond0].floor"), "default");
    assert.equal(of("teams[bond0].uplinks[eno1].name"), "default");
    assert.equal(of("teams[bond0].uplinks[eno2].speed"), "uplinkd.yaml:12");
    assert.equal(of("teams[bond1].floor"), "uplinkd.yaml:13");
    assert.equal(of("caps[test-*].actions"), "uplinkd.yaml:5");
    assert.match(text, /^resync: 5s # uplinkd\.yaml:1$/m);
    assert.match(text, /^ +headroom: 7% # uplinkd\.yaml:8$/m);
    assert.match(text, /^maxPause: 15m # default$/m);
  });

  it("are those of the last file that says it; a team's entry is one file's alone", () => {
    const later = {
      file: "uplinkd.d/a.yaml",
      text: "teams: [{bond: bond0, floor: 2mbit}]\nresync: 7s\n",
    };
    const { of } = sourcesOf(MAIN, later);
    assert.equal(of("resync"), "uplinkd.d/a.yaml:2");
    assert.equal(of("teams[bond0].floor"), "uplinkd.d/a.yaml:1");
    assert.equal(of("teams[bond0].headroom"), "default");
    assert.equal(of("teams[bond1].floor"), "uplinkd.yaml:13");
  });

  it("are all defaults where there is no file", () => {
    const { text } = sourcesOf();
    for (const line of text.trimEnd().split("\n")) {
      assert.match(line, /# default$|^\w+:$/);
    }
  });
});
