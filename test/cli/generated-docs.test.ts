import assert from "node:assert/strict";
import { test } from "node:test";
import { generatedFiles } from "../../api/docs/generate.ts";
import { DOWN_EXAMPLES, TOPIC_EXAMPLES, type TopicExample, UP_EXAMPLES } from "../../api/docs/topic-examples.ts";
import { readConfig } from "../../core/config.ts";
import { ERRORS } from "../../core/errors.ts";
import { DOWN_PAYLOADS, type DownType, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { settingsReference } from "../../core/setting-names.ts";
import { createTopics, payloadSchema, type Topic } from "../../core/topics.ts";
import { parserFor } from "../../core/validate.ts";

const UID = "relay-7kq2mzd94x";
const files = generatedFiles({ openapi: { openapi: "3.1.0", paths: { "/b": {}, "/a": {} }, components: { schemas: { B: {}, A: {} } } } });
const page = (path: string): string => {
  const text = files[path];
  assert.ok(text, `${path} is not generated`);
  return text;
};

const examples: { topic: Topic; example: TopicExample }[] = [
  ...(Object.keys(UP_PAYLOADS) as UpType[]).map((type) => ({ topic: { kind: "up", uid: UID, type } as const, example: UP_EXAMPLES[type] })),
  ...(Object.keys(DOWN_PAYLOADS) as DownType[]).map((type) => ({
    topic: { kind: "down", uid: UID, type } as const,
    example: DOWN_EXAMPLES[type],
  })),
  ...(["relay_state", "relay_set", "light_state", "light_set"] as const).map((kind) => ({
    topic: { kind, uid: UID, index: 0 } as const,
    example: TOPIC_EXAMPLES[kind],
  })),
  { topic: { kind: "availability", uid: UID }, example: TOPIC_EXAMPLES.availability },
  { topic: { kind: "button_press", uid: UID, button: "identify" }, example: TOPIC_EXAMPLES.button_press },
  { topic: { kind: "ir_send", uid: UID }, example: TOPIC_EXAMPLES.ir_send },
];

for (const { topic, example } of examples) {
  const name = createTopics().build(topic);
  test(`the example of ${name} is what its schema accepts, and stands in the page`, () => {
    const value: unknown = example.payload.startsWith("{") ? JSON.parse(example.payload) : example.payload;
    assert.deepEqual(parserFor(payloadSchema(topic))(value), value);
    assert.ok(page("docs/topics.md").includes(example.payload));
  });
}

test("every topic of a line in the reference is one that the hub knows, or a filter", () => {
  const topics = [...page("docs/topics.md").matchAll(/^mosquitto_(?:pub|sub) .* -t "([^"]+)"/gm)].map(([, topic]) => topic ?? "");
  assert.ok(topics.length > 25);
  for (const topic of topics) {
    if (/[+#]/.test(topic)) continue;
    assert.ok(createTopics().parse(topic.replace("$DEVICE_UID", UID)), `${topic} is not in the contract`);
  }
});

test("no line quotes a payload that would end its own quotes", () => {
  for (const { example } of examples) assert.doesNotMatch(example.payload, /'/);
});

test("every setting stands in configuration.md and .env.example with its default", () => {
  for (const { name, default: fallback } of settingsReference()) {
    assert.ok(page("docs/configuration.md").includes(`| \`${name}\``), `${name} is missing`);
    assert.ok(page(".env.example").includes(`\n# ${name}=${fallback ?? ""}\n`), `${name} is missing`);
  }
});

test(".env.example with all of its defaults taken is what the hub runs with anyway", () => {
  const lines = [...page(".env.example").matchAll(/^# ([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
  const refuse = (path: string): string => assert.fail(`${path} was read`);
  assert.deepEqual(readConfig(Object.fromEntries(lines), refuse), readConfig({}, refuse));
});

test("every error code stands in errors.md", () => {
  for (const [code, { status }] of Object.entries(ERRORS))
    assert.ok(page("docs/errors.md").includes(`| \`${code}\` | ${status} |`), `${code} is missing`);
});

test("openapi.json does not depend on the order in which routes are registered", () => {
  const other = generatedFiles({ openapi: { openapi: "3.1.0", paths: { "/a": {}, "/b": {} }, components: { schemas: { A: {}, B: {} } } } });
  assert.equal(page("docs/openapi.json"), other["docs/openapi.json"]);
  assert.deepEqual(Object.keys(JSON.parse(page("docs/openapi.json")).paths), ["/a", "/b"]);
});
