import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CUSTOM_EVENT_TYPE, selectTypes } from "../../core/event-type.ts";
import { EVENT_TYPES } from "../../core/event.ts";
import { createTopics } from "../../core/topics.ts";

const KNOWN = Object.keys(EVENT_TYPES);
const CUSTOM = new RegExp(CUSTOM_EVENT_TYPE);

test("types are selected by their names and by how they begin, each once", () => {
  const commands = KNOWN.filter((type) => type.startsWith("command."));
  for (const [selectors, exact, prefixes] of [
    [["device.online"], ["device.online"], []],
    [["device.online", "device.online"], ["device.online"], []],
    [["command.*"], commands, []],
    [["command.failed", "command.*"], commands, []],
    [["custom.a"], ["custom.a"], []],
    [["custom.*", "custom.a", "custom.b.*"], [], ["custom."]],
    [["custom.b.*", "custom.b", "custom.b.c"], ["custom.b"], ["custom.b."]],
    [[], [], []],
  ] as const) {
    const selected = selectTypes(selectors);
    assert.deepEqual([selected.exact.toSorted(), selected.prefixes], [[...exact].toSorted(), [...prefixes]], selectors.join());
  }
});

test("what no event can be is no type", () => {
  const wrong = ["", "*", ".*", "device", "device.none", "none.*", "custom", "custom.", "custom..a", "custom.A", "custom.-a", "custom.a/b"];
  for (const selector of [...wrong, "custom.+", "custom.#", "custom.*.*", "devic*", `custom.${"a".repeat(94)}`])
    assert.throws(() => selectTypes([selector]), { code: "validation_error" }, selector);
  assert.doesNotThrow(() => selectTypes([`custom.${"a".repeat(93)}`]));
});

test("no event is selected twice, and all are that a selector names", () => {
  const name = fc.stringMatching(/^[ab](\.[ab]){0,2}$/).map((text) => `custom.${text}`);
  const type = fc.oneof(name, fc.constantFrom(...KNOWN));
  const selector = fc.oneof(
    type,
    name.map((text) => `${text}.*`),
    fc.constantFrom("custom.*", "device.*", "command.*"),
  );
  fc.assert(
    fc.property(fc.array(selector, { maxLength: 6 }), type, (selectors, one) => {
      const { exact, prefixes } = selectTypes(selectors);
      const times = exact.filter((found) => found === one).length + prefixes.filter((prefix) => one.startsWith(prefix)).length;
      const isNamed = selectors.some((text) => (text.endsWith(".*") ? one.startsWith(text.slice(0, -1)) : one === text));
      assert.equal(times, isNamed ? 1 : 0);
    }),
  );
});

test("every type is one level of a topic", () => {
  const topics = createTopics();
  const levelOf = (type: string): void => {
    const topic = topics.build({ kind: "event", organizationId: "o", type });
    assert.deepEqual(topics.parse(topic), { kind: "event", organizationId: "o", type });
    assert.doesNotMatch(type, /[/+#\0]/);
  };
  for (const type of KNOWN) levelOf(type);
  fc.assert(fc.property(fc.stringMatching(CUSTOM), levelOf));
});
