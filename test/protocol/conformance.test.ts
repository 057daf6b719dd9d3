import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PAGE_FILE, readChapters, renderPage } from "./conformance.ts";
import { DIFFERENCES } from "./differences.ts";

test("docs/mqtt-conformance.md says what the suite checks and where the brokers differ; `node test/protocol/conformance.ts` writes it", async () => {
  const page = readFileSync(PAGE_FILE, "utf8");
  assert.equal(page, renderPage(page, await readChapters()));
});

test("every difference is of a claim that some chapter makes, in a version in which it makes it", async () => {
  const claims = (await readChapters()).flatMap((chapter) => chapter.claims);
  for (const { claim, versions } of DIFFERENCES) {
    const found = claims.find((each) => each.claim === claim);
    assert.ok(found, claim);
    for (const version of versions) assert.ok(version === 4 ? found.where.v3 : found.where.v5, `${claim}: MQTT ${version}`);
  }
});

test("no claim stands twice, so that a difference is of one", async () => {
  const claims = (await readChapters()).flatMap((chapter) => chapter.claims.map(({ claim }) => claim));
  assert.deepEqual(
    claims.filter((claim, index) => claims.indexOf(claim) !== index),
    [],
  );
});

test("every statement that is named is numbered as the specifications number them", async () => {
  const ids = (await readChapters()).flatMap(({ claims }) => claims.flatMap(({ where }) => [...(where.v3 ?? []), ...(where.v5 ?? [])]));
  const strange = ids.filter((id) => !/^(MQTT-\d\.\d+\.\d+-\d+|\d(\.\d+)*( of MQTT 5, by convention)?)$/.test(id));
  assert.deepEqual(strange, []);
});
