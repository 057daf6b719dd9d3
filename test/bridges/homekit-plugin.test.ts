import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { describe, mock, test } from "node:test";
import { LastWord } from "../../bridges/homekit/plugin/last-word.js";
import { listOf } from "../../bridges/homekit/plugin/list.js";
import { KINDS } from "../../bridges/homekit/plugin/services.js";

const service = (kind: string, more: object = {}) => ({ id: "x", kind, name: "X", state: "t", ...more });
const read = (kind: string, text: string, more: object = {}): object => KINDS[kind]?.read(text, service(kind, more)) ?? {};

describe("what the hub says is in HomeKit's words", () => {
  for (const [kind, text, said, more] of [
    ["switch", "ON", { On: true }],
    ["switch", "on fire", {}],
    ["outlet", "OFF", { On: false }],
    ["light", '{"state":"ON","brightness":40,"color_temp":4000}', { On: true, Brightness: 40, ColorTemperature: 250 }],
    // A light that is off keeps the brightness that it comes back with.
    ["light", '{"state":"OFF","brightness":0}', { On: false }],
    ["light", '{"state":"ON","color_temp":1000}', { On: true, ColorTemperature: 500 }],
    ["light", "null", {}],
    ["light", "{", {}],
    ["contact", "ON", { ContactSensorState: 1 }],
    ["motion", "OFF", { MotionDetected: false }],
    ["temperature", "21.5", { CurrentTemperature: 21.5 }],
    ["temperature", "212", { CurrentTemperature: 100 }, { unit: "°F" }],
    ["temperature", "273.15", { CurrentTemperature: 0 }, { unit: "K" }],
    ["temperature", "", {}],
    ["temperature", "NaN", {}],
    ["humidity", "140", { CurrentRelativeHumidity: 100 }],
    ["illuminance", "0", { CurrentAmbientLightLevel: 0.0001 }],
    ["button", '{"input":2,"event":"button_hold"}', { ProgrammableSwitchEvent: 2 }, { input: 2 }],
    ["button", '{"input":1,"event":"click"}', {}, { input: 2 }],
    ["button", '{"input":2,"event":"release"}', {}, { input: 2 }],
    ["button", '{"input":2,"event":"constructor"}', {}, { input: 2 }],
  ] as const)
    test(`${kind}: ${text}${more ? `, ${JSON.stringify(more)}` : ""}`, () => assert.deepEqual(read(kind, text, more), said));

  test("writes ask for what was written", () => {
    const { write = {}, payload } = KINDS["light"] ?? {};
    const change = { ...write["On"]?.(1), ...write["Brightness"]?.(30), ...write["ColorTemperature"]?.(250) };
    assert.deepEqual(JSON.parse(payload?.(change) ?? ""), { state: "ON", brightness: 30, color_temp: 4000 });
    assert.equal(KINDS["switch"]?.payload?.({ state: "OFF" }), "OFF");
  });
});

describe("the hub's list", () => {
  const accessory = { uid: "u", name: "N", model: "M", firmware: "1.0.0", availability: "a", services: [service("switch")] };
  test("is taken with what a newer hub says besides", () => {
    assert.ok(listOf({ follow: ["a"], accessories: [{ ...accessory, colour: "red" }], more: 1 }));
    assert.ok(listOf({ follow: [], accessories: [] }));
  });
  for (const [what, value] of [
    ["nothing", undefined],
    ["no list", { follow: [] }],
    ["an accessory without a uid", { follow: [], accessories: [{ ...accessory, uid: "" }] }],
    ["services that are none", { follow: [], accessories: [{ ...accessory, services: [null] }] }],
  ] as const)
    test(`is not taken: ${what}`, () => assert.equal(listOf(value), undefined));
});

describe("a slider that is dragged", () => {
  test("sends its last value, one message in so much time, and answers every write", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const sent: object[] = [];
    const word = new LastWord<{ brightness?: number; state?: string }>(async (change) => {
      sent.push(change);
    }, 100);
    const answers = [word.write({ state: "ON" }), word.write({ brightness: 10 }), word.write({ brightness: 20 })];
    assert.ok(word.isBusy);
    mock.timers.tick(10);
    await Promise.all(answers);
    assert.deepEqual(sent, [{ state: "ON", brightness: 20 }]);
    const more = [word.write({ brightness: 30 }), word.write({ brightness: 40 })];
    mock.timers.tick(50);
    await turn();
    assert.equal(sent.length, 1, "not before its turn");
    mock.timers.tick(100);
    await Promise.all(more);
    assert.deepEqual(sent.at(-1), { brightness: 40 });
    assert.equal(word.isBusy, false);
    mock.timers.reset();
  });

  test("tells every write of one message that it was refused", async () => {
    const word = new LastWord<object>(() => Promise.reject(new Error("away")), 0);
    const results = await Promise.allSettled([word.write({ a: 1 }), word.write({ b: 2 })]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.equal(word.isBusy, false);
  });
});
