import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkCapability, Command, effectOf, FINAL_STATUSES, resolveCommand } from "../../core/command.ts";
import { type Capabilities, defaultCapabilities, PRESENCE_TTL_MS, presenceAt } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { type DeviceState, NO_STATE } from "../../core/state.ts";
import { parserFor } from "../../core/validate.ts";

const parse = parserFor(Command);
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof HubError, String(error));
    return error.code;
  }
  return "accepted";
};

const onOff = fc.constantFrom("ON" as const, "OFF" as const);
const target = fc.constantFrom("ON" as const, "OFF" as const, "TOGGLE" as const);
const outputIndex = fc.integer({ min: 0, max: 31 });
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ command: fc.constant("set_relay" as const), relay: outputIndex, state: target }),
  fc.record({ command: fc.constant("set_all_relays" as const), state: onOff }),
  fc.record(
    { command: fc.constant("set_light" as const), light: outputIndex, state: target, brightness: fc.integer({ min: 0, max: 100 }) },
    { requiredKeys: ["command", "light"] },
  ),
  fc.record({
    command: fc.constant("ir_send" as const),
    timings: fc.array(fc.integer({ min: -9000, max: 9000 }), { minLength: 2, maxLength: 20 }),
  }),
  fc.constant({ command: "identify" as const }),
  fc.constant({ command: "restart" as const }),
);
const known: fc.Arbitrary<DeviceState> = fc.record({
  relays: fc.uniqueArray(fc.record({ index: outputIndex, state: onOff }), { selector: ({ index }) => index, maxLength: 8 }),
  lights: fc.uniqueArray(fc.record({ index: outputIndex, state: onOff }), { selector: ({ index }) => index, maxLength: 8 }),
});

test("every command of the contract is accepted as it is", () => {
  fc.assert(fc.property(command, (value) => assert.deepEqual(parse(value), value)));
});

for (const bad of [
  undefined,
  null,
  "set_relay",
  {},
  { command: "format_disk" },
  { command: "set_relay" },
  { command: "set_relay", relay: 32, state: "ON" },
  { command: "set_relay", relay: -1, state: "ON" },
  { command: "set_relay", relay: "0", state: "ON" },
  { command: "set_relay", relay: 0, state: "on" },
  { command: "set_relay", relay: 0, state: "ON", extra: 1 },
  { command: "set_all_relays", state: "TOGGLE" },
  { command: "set_light", light: 0, brightness: 101 },
  { command: "set_light", light: 0, transition: 3601 },
  { command: "ir_send", timings: [1] },
  { command: "identify", state: "ON" },
]) {
  test(`refuses ${JSON.stringify(bad)}`, () =>
    assert.equal(
      codeOf(() => parse(bad)),
      "validation_error",
    ));
}

test("a resolved command toggles nothing, so that a repeated delivery has no second effect", () => {
  fc.assert(
    fc.property(command, known, (value, state) => {
      const resolved = resolveCommand(value, state);
      assert.notEqual("state" in resolved ? resolved.state : undefined, "TOGGLE");
      assert.deepEqual(resolveCommand(resolved, state), resolved);
    }),
  );
});

test("TOGGLE turns what is known, and an output nobody knows on", () => {
  const state: DeviceState = { relays: [{ index: 1, state: "ON" }], lights: [{ index: 1, state: "ON" }] };
  assert.deepEqual(resolveCommand({ command: "set_relay", relay: 1, state: "TOGGLE" }, state), {
    command: "set_relay",
    relay: 1,
    state: "OFF",
  });
  assert.deepEqual(resolveCommand({ command: "set_relay", relay: 0, state: "TOGGLE" }, state), {
    command: "set_relay",
    relay: 0,
    state: "ON",
  });
  assert.deepEqual(resolveCommand({ command: "set_light", light: 1, state: "TOGGLE" }, state), {
    command: "set_light",
    light: 1,
    state: "OFF",
  });
});

test("a brightness alone switches the light: 0 off, anything else on", () => {
  for (const [brightness, state] of [
    [0, "OFF"],
    [1, "ON"],
    [100, "ON"],
  ] as const)
    assert.deepEqual(resolveCommand({ command: "set_light", light: 0, brightness }, NO_STATE), {
      command: "set_light",
      light: 0,
      brightness,
      state,
    });
});

for (const [capabilities, value, expected] of [
  [{ relays: 2 }, { command: "set_relay", relay: 1, state: "ON" }, "accepted"],
  [{ relays: 2 }, { command: "set_relay", relay: 2, state: "ON" }, "unsupported_command"],
  [{}, { command: "set_relay", relay: 0, state: "ON" }, "unsupported_command"],
  [{}, { command: "set_all_relays", state: "ON" }, "unsupported_command"],
  [{ relays: 1 }, { command: "set_all_relays", state: "ON" }, "accepted"],
  [{ lights: 1 }, { command: "set_light", light: 0, state: "ON" }, "accepted"],
  [{ lights: 1 }, { command: "set_light", light: 1, state: "ON" }, "unsupported_command"],
  [{ ir: true }, { command: "ir_send", timings: [1, -1] }, "accepted"],
  [{ ir: false }, { command: "ir_send", timings: [1, -1] }, "unsupported_command"],
  [{}, { command: "identify" }, "accepted"],
  [{}, { command: "restart" }, "accepted"],
] as readonly [Capabilities, Command, string][]) {
  test(`a device with ${JSON.stringify(capabilities)} and ${JSON.stringify(value)}: ${expected}`, () =>
    assert.equal(
      codeOf(() => checkCapability(value, capabilities)),
      expected,
    ));
}

test("what a supported command does stays inside the device's outputs", () => {
  fc.assert(
    fc.property(command, known, fc.integer({ min: 0, max: 32 }), fc.integer({ min: 0, max: 32 }), (value, state, relays, lights) => {
      const capabilities = { relays, lights, ir: true };
      if (codeOf(() => checkCapability(value, capabilities)) !== "accepted") return;
      const effect = effectOf(resolveCommand(value, state), capabilities);
      assert.ok(
        (effect.relays ?? []).every((relay) => relay.index < relays) && (effect.lights ?? []).every((light) => light.index < lights),
      );
      if (value.command === "set_all_relays") assert.equal(effect.relays?.length, relays);
    }),
  );
});

test("a colour temperature alone switches its light on; identify and restart change no output", () => {
  assert.deepEqual(effectOf({ command: "set_light", light: 0, color_temp: 2700 }, { lights: 1 }), {
    lights: [{ index: 0, state: "ON", color_temp: 2700 }],
  });
  assert.deepEqual(effectOf({ command: "identify" }, {}), {});
  assert.deepEqual(effectOf({ command: "restart" }, {}), {});
});

test("queued and sent are the statuses that still change", () => {
  assert.deepEqual(FINAL_STATUSES, ["ok", "error", "timeout", "expired"]);
});

test("each class can do something without saying so", () => {
  assert.deepEqual(
    [
      defaultCapabilities("relay_controller"),
      defaultCapabilities("ir_hub"),
      defaultCapabilities("sensor_hub"),
      defaultCapabilities("hybrid"),
    ],
    [{ relays: 4 }, { ir: true }, { sensors: [] }, { relays: 4, sensors: [] }],
  );
});

for (const [device, ageMs, expected] of [
  [{ connected: false }, 0, "offline"],
  [{ connected: true }, 0, "online"],
  [{ connected: true }, PRESENCE_TTL_MS, "online"],
  [{ connected: true }, PRESENCE_TTL_MS + 1, "stale"],
] as const) {
  test(`a device ${device.connected ? "connected" : "not connected"} and heard ${ageMs} ms ago is ${expected}`, () => {
    const now = Date.UTC(2026, 10, 21);
    assert.equal(presenceAt(now, { ...device, lastSeenAt: now - ageMs }), expected);
  });
}

test("a device that was never heard is offline", () => {
  assert.equal(presenceAt(0, { connected: true, lastSeenAt: null }), "offline");
});
