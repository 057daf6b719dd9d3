import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { Faults } from "../../core/faults.ts";
import { substitute } from "../../core/placeholders.ts";
import { type Builtins, devicesGiven, parseTemplate, readTemplate, resolveTemplate, type TemplateDefinition } from "../../core/template.ts";
import { parseVariables, valuesOf } from "../../core/template-variable.ts";

type Written = Pick<TemplateDefinition, "actions" | "variables">;
type Given = Record<string, unknown>;

const BUILTINS: Builtins = { now: 0, task: { id: "task-1" }, device: { uid: "relay-000001", name: "Hall" }, user: { name: "Ada" } };
const ROOM = { name: "relay", type: "integer", min: 0, max: 31 };
const STATE = { name: "state", type: "enum", values: ["ON", "OFF"] };
const DIM = { command: "set_light", light: 0, brightness: "{{b}}" };
const SET = { command: "set_relay", relay: "{{relay}}", state: "{{state}}" };

const resolved = (written: Written, given: Given): unknown => resolveTemplate(parseTemplate(written), given, BUILTINS);

/** The paths of all that is wrong. */
function faultsOf(work: () => unknown): string[] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
    return [...new Set((error.details as { path: string }[]).map(({ path }) => path))];
  }
  return [];
}

/** What one text becomes, whatever the variable. */
function filled(text: unknown, variable: object, value: unknown): unknown {
  const faults = new Faults();
  const variables = parseVariables([variable], "", faults);
  const values = valuesOf(variables, { v: value }, "", faults);
  faults.refuse();
  return substitute(text, (name) => values[name], { left: 100_000 });
}

describe("a template", () => {
  test("becomes what its documentation says", async () => {
    const page = await readFile(new URL("../../docs/templates.md", import.meta.url), "utf8");
    const [template, values, commands] = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => JSON.parse(text ?? "") as Given);
    assert.deepEqual(resolved(template as Written, values?.["variables"] as Given), commands);
  });

  test("keeps types where a placeholder stands alone, and makes text of it elsewhere", () => {
    const table: [unknown, object, unknown, unknown][] = [
      ["{{v}}", { type: "integer" }, 5, 5],
      ["{{ v }}", { type: "boolean" }, false, false],
      [" {{v}}", { type: "integer" }, 5, " 5"],
      ["{{v}}{{v}}", { type: "boolean" }, true, "truetrue"],
      ["{{{{v}} {{v}}", { type: "string" }, "x", "{{v}} x"],
      ["{{{v}}}", { type: "string" }, "x", "{x}"],
      ["{{{{", { type: "string" }, "x", "{{"],
      ["} }}", { type: "string" }, "x", "} }}"],
      ["{{v}}", { type: "duration" }, "1d2h3m4.5s", 93_784.5],
      ["{{v}}", { type: "duration" }, 7, 7],
      ["{{v}}", { type: "device" }, "relay-000001", "relay-000001"],
      ["{{v}}", { type: "object", properties: [{ name: "a", type: "number", default: 1 }] }, {}, { a: 1 }],
    ];
    for (const [text, variable, value, expected] of table)
      assert.deepEqual(filled(text, { name: "v", ...variable }, value), expected, JSON.stringify([text, variable, value]));
  });

  test("leaves out the member whose value need not be there", () => {
    const written = {
      actions: [{ command: "set_light", light: 0, brightness: "{{b}}" }],
      variables: [{ name: "b", type: "integer", min: 0, max: 100, required: false }],
    };
    assert.deepEqual(resolved(written, {}), [{ command: "set_light", light: 0 }]);
    assert.deepEqual(resolved(written, { b: 3 }), [{ command: "set_light", light: 0, brightness: 3 }]);
  });

  test("tells all that is wrong with the values at once, each with its place", () => {
    const written = {
      actions: [
        { command: "set_relay", relay: "{{room.relay}}", state: "{{room.state}}" },
        { command: "set_light", light: 0, transition: "{{fade}}", brightness: "{{b}}" },
      ],
      variables: [
        { name: "room", type: "object", properties: [ROOM, STATE] },
        { name: "fade", type: "duration", max: 60 },
        { name: "b", type: "integer", default: 5 },
      ],
    };
    const wrong = { room: { relay: 32, state: "TOGGLE", lamp: 1 }, b: "5", more: true };
    assert.deepEqual(faultsOf(() => resolved(written, wrong)).toSorted(), [
      "/variables/b",
      "/variables/fade",
      "/variables/more",
      "/variables/room/lamp",
      "/variables/room/relay",
      "/variables/room/state",
    ]);
    assert.deepEqual(faultsOf(() => resolved(written, {})).toSorted(), [
      "/variables/fade",
      "/variables/room/relay",
      "/variables/room/state",
    ]);
    // The template does not say how much there may be; the command does.
    assert.deepEqual(
      faultsOf(() => resolved(written, { room: { relay: 1, state: "ON" }, fade: "61s", b: 101 })),
      ["/variables/fade"],
    );
    assert.deepEqual(
      faultsOf(() => resolved(written, { room: { relay: 1, state: "ON" }, fade: "1m", b: 101 })),
      ["/actions/1/brightness"],
    );
    assert.deepEqual(
      faultsOf(() => resolved(written, { b: "x".repeat(20_000) })),
      ["/variables"],
    );
  });

  test("is refused when it is written for what is wrong in any case", () => {
    const table: [unknown[], unknown[], string[]][] = [
      [[{ command: "set_relay", relay: 0 }], [], ["/actions/0"]],
      [[{ command: "explode" }], [], ["/actions/0"]],
      [[{ command: "identify", more: "{{device.name}}" }], [], ["/actions/0"]],
      [[{ command: "identify", "{{device.name}}": 1 }], [], ["/actions/0/{{device.name}}"]],
      [[SET], [], ["/actions/0/relay", "/actions/0/state"]],
      [[{ ...SET, relay: "{{relay" }], [ROOM, STATE], ["/actions/0/relay"]],
      [[SET], [ROOM, STATE, { name: "x", type: "string" }], ["/variables/2"]],
      [[SET], [ROOM, STATE, ROOM], ["/variables/2/name"]],
      [[SET], [{ ...ROOM, max: 32 }, STATE], ["/actions/0/relay"]],
      [[SET], [{ ...ROOM, min: -1 }, STATE], ["/actions/0/relay"]],
      [[SET], [{ name: "relay", type: "integer", default: 99 }, STATE], ["/actions/0/relay"]],
      [[SET], [{ name: "relay", type: "string" }, STATE], ["/actions/0/relay"]],
      [[SET], [ROOM, { ...STATE, values: ["ON", "BLINK"] }], ["/actions/0/state"]],
      [[SET], [ROOM, { name: "state", type: "boolean" }], ["/actions/0/state"]],
      // Without it there would be no relay.
      [[SET], [{ ...ROOM, required: false }, STATE], ["/actions/0"]],
      [[SET], [ROOM, { name: "state", type: "object", properties: [STATE] }], ["/actions/0/state"]],
      [[{ ...SET, state: "{{state}}!" }], [ROOM, { name: "state", type: "object", properties: [STATE] }], ["/actions/0/state"]],
      [[{ command: "ir_send", timings: [1, "{{a}}"] }], [{ name: "a", type: "integer", required: false }], ["/actions/0/timings/1"]],
      // Of an object that need not be there its properties are tried too, and that it is not there.
      [[DIM], [{ name: "b", type: "string", required: false }], ["/actions/0/brightness"]],
      [
        [{ ...DIM, brightness: "{{m.b}}" }],
        [{ name: "m", type: "object", required: false, properties: [{ name: "b", type: "integer", min: 1, max: 101 }] }],
        ["/actions/0/brightness"],
      ],
      [
        [{ ...DIM, light: "{{m.l}}", brightness: 5 }],
        [{ name: "m", type: "object", required: false, properties: [{ name: "l", type: "integer", min: 0, max: 3 }] }],
        ["/actions/0"],
      ],
      [
        [{ ...DIM, brightness: "{{m.b}}" }],
        [{ name: "m", type: "object", default: { b: 101 }, properties: [{ name: "b", type: "integer" }] }],
        ["/actions/0/brightness"],
      ],
      [
        [{ ...DIM, brightness: "{{m.b}}" }],
        [{ name: "m", type: "object", default: { b: 3 }, properties: [{ name: "b", type: "integer", max: 2, min: 1 }] }],
        ["/variables/0/default/b"],
      ],
      [
        [SET],
        [
          { ...ROOM, min: 3, max: 1 },
          { name: "state", type: "enum" },
        ],
        ["/variables/0/max", "/variables/1"],
      ],
      [
        [SET],
        [
          { ...ROOM, default: 1.5 },
          { ...STATE, default: "on" },
        ],
        ["/variables/0/default", "/variables/1/default"],
      ],
      [
        [SET],
        [
          { ...ROOM, pattern: "a" },
          { ...STATE, properties: [ROOM] },
        ],
        ["/variables/0/pattern", "/variables/1/properties"],
      ],
      [[SET], [ROOM, { name: "state", type: "string", pattern: "(a+)+" }], ["/variables/1/pattern"]],
      [[{ ...SET, relay: "{{now}}" }], [{ name: "now", type: "integer" }, STATE], ["/variables/0/name"]],
    ];
    for (const [actions, variables, expected] of table)
      assert.deepEqual(
        faultsOf(() => parseTemplate({ actions, variables })),
        expected,
        JSON.stringify({ actions, variables }),
      );
  });

  test("says with which of its own values it is wrong", () => {
    const wrong = { actions: [SET], variables: [ROOM, { ...STATE, values: ["ON", "OFF", "BLINK"] }] };
    assert.throws(() => parseTemplate(wrong), /^HubError: \/actions\/0\/state must be equal to one of .* with state = "BLINK"$/);
  });

  test("waits for the values where nothing is sure", () => {
    const written = {
      actions: [{ ...SET, command: "{{what}}" }],
      variables: [ROOM, { name: "state", type: "string" }, { name: "what", type: "string" }],
    };
    assert.deepEqual(resolved(written, { relay: 1, state: "ON", what: "set_relay" }), [{ command: "set_relay", relay: 1, state: "ON" }]);
    assert.deepEqual(
      faultsOf(() => resolved(written, { relay: 1, state: "on", what: "set_relay" })),
      ["/actions/0/state"],
    );
    assert.deepEqual(
      faultsOf(() => resolved(written, { relay: 1, state: "ON", what: "restart" })),
      ["/actions/0"],
    );
  });

  test("reaches nothing but its variables, whatever they are called", () => {
    for (const name of ["constructor", "toString", "valueOf", "hasOwnProperty"]) {
      const written = { actions: [{ ...SET, relay: `{{${name}}}` }], variables: [STATE] };
      assert.deepEqual(
        faultsOf(() => parseTemplate(written)),
        ["/actions/0/relay"],
      );
      const named = { actions: [{ ...SET, relay: `{{${name}}}` }], variables: [{ ...ROOM, name }, STATE] };
      assert.deepEqual(
        faultsOf(() => resolved(named, { state: "ON" })),
        [`/variables/${name}`],
      );
      assert.deepEqual(resolved(named, { state: "ON", [name]: 4 }), [{ command: "set_relay", relay: 4, state: "ON" }]);
    }
    const own = JSON.parse('{"state":"ON","relay":1,"__proto__":{"x":1}}') as Given;
    assert.deepEqual(
      faultsOf(() => resolved({ actions: [SET], variables: [ROOM, STATE] }, own)),
      ["/variables/__proto__"],
    );
    assert.deepEqual(
      faultsOf(() => parseTemplate({ actions: [{ ...SET, relay: "{{__proto__}}" }], variables: [STATE] })),
      ["/actions/0/relay"],
    );
  });

  test("stays small, however often it names something large", () => {
    const timings = "{{v}}".repeat(200);
    const written = readTemplate({ actions: [{ command: timings }], variables: [{ name: "v", type: "string" }] });
    assert.deepEqual(
      faultsOf(() => resolveTemplate(written, { v: "x".repeat(1_024) }, BUILTINS)),
      ["/actions"],
    );
    const many = { actions: [{ command: "{{device.name}}".repeat(501) }] };
    assert.deepEqual(
      faultsOf(() => parseTemplate(many)),
      ["/actions"],
    );
    assert.deepEqual(
      faultsOf(() => parseTemplate({ actions: [{ command: "x".repeat(70_000) }] })),
      ["/actions"],
    );
    let deep: unknown = 1;
    for (let level = 0; level < 10; level++) deep = [deep];
    assert.deepEqual(
      faultsOf(() => parseTemplate({ actions: [{ command: deep }] })),
      ["/actions"],
    );
  });

  test("names the devices that it is given, and those of its defaults", () => {
    const template = readTemplate({
      actions: [],
      variables: [
        { name: "a", type: "device", default: "relay-000001" },
        { name: "b", type: "object", properties: [{ name: "c", type: "device" }] },
      ],
    });
    assert.deepEqual(devicesGiven(template, { b: { c: "relay-000002" } }), [
      { path: "/variables/a", uid: "relay-000001" },
      { path: "/variables/b/c", uid: "relay-000002" },
    ]);
  });

  const VALUES: Readonly<Record<string, { readonly more?: object; readonly value: fc.Arbitrary<unknown> }>> = {
    string: { value: fc.string({ unit: "binary", maxLength: 200 }).filter((text) => text.isWellFormed() && !text.includes("\0")) },
    number: { value: fc.double({ noNaN: true, noDefaultInfinity: true }) },
    integer: { value: fc.maxSafeInteger() },
    boolean: { value: fc.boolean() },
    enum: { more: { values: ["a", 1, true, "{{v}}"] }, value: fc.constantFrom("a", 1, true, "{{v}}") },
    device: { value: fc.stringMatching(/^[a-z0-9][a-z0-9-]{5,31}$/) },
    duration: { value: fc.nat({ max: 366 * 86_400 }) },
    object: {
      more: { properties: [{ name: "a", type: "string" }] },
      value: fc.string({ unit: "grapheme-ascii", maxLength: 40 }).map((a) => ({ a })),
    },
  };

  test("gives any value of a type as it is", () => {
    for (const [type, { more, value }] of Object.entries(VALUES))
      fc.assert(
        fc.property(value, (one) => assert.deepEqual(filled("{{v}}", { name: "v", type, ...more }, one), one)),
        { numRuns: 300 },
      );
  });

  test("puts no value outside of its place, whatever it says", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 60 }),
      fc.constantFrom(
        '","relay":31,"x":"',
        "{{relay}}",
        "{{{{",
        "\\",
        '"',
        "}}",
        "${1}",
        "$&",
        "__proto__",
        '{"command":"restart"}',
        "\u2028",
      ),
    );
    const template = { a: ["{{v}}", "before {{v}} after", { deep: "{{v}}{{v}}" }], v: "untouched", "b c": 1 };
    fc.assert(
      fc.property(hostile, (value) => {
        const made = JSON.parse(JSON.stringify(filled(template, { name: "v", type: "string" }, value))) as unknown;
        assert.deepEqual(made, { a: [value, `before ${value} after`, { deep: `${value}${value}` }], v: "untouched", "b c": 1 });
      }),
      { numRuns: 500 },
    );
  });

  test("takes as defaults and samples whatever it then takes as values", () => {
    const written = fc.record({
      min: fc.integer({ min: -5, max: 40 }),
      span: fc.nat({ max: 40 }),
      preset: fc.integer({ min: -5, max: 80 }),
    });
    fc.assert(
      fc.property(written, fc.integer({ min: -10, max: 90 }), ({ min, span, preset }, given) => {
        const max = min + span;
        const variables = [{ name: "relay", type: "integer", min, max, default: preset }];
        const one = { actions: [{ ...SET, state: "ON" }], variables };
        const isPossible = min >= 0 && max <= 31 && preset >= min && preset <= max;
        assert.equal(faultsOf(() => parseTemplate(one)).length === 0, isPossible);
        if (!isPossible) return;
        assert.equal(faultsOf(() => resolved(one, { relay: given })).length === 0, given >= min && given <= max);
        assert.deepEqual(resolved(one, {}), [{ command: "set_relay", relay: preset, state: "ON" }]);
      }),
      { numRuns: 500 },
    );
  });
});
