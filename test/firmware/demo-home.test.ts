import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Capabilities } from "../../core/device.ts";
import { UP_PAYLOADS } from "../../core/payloads.ts";
import { parserFor } from "../../core/validate.ts";
import { DEMO_DEVICES, type DemoDefinition, newDemoMemory, startDemoDevice } from "../../firmware/virtual/demo-home.ts";
import { mosquittoMissing, startMosquitto } from "../support/services.ts";
import { until } from "../support/wait.ts";
import { startHubSide } from "./hub-side.ts";

const DAY_MS = 86_400_000;
const MIDNIGHT = Date.UTC(2026, 5, 1);

function definition(slug: string): DemoDefinition {
  const found = DEMO_DEVICES.find((device) => device.slug === slug);
  assert.ok(found, `there is no ${slug}`);
  return found;
}

function dayOf(slug: string, key: string, stepMs = 60_000): unknown[] {
  const device = definition(slug);
  const memory = newDemoMemory();
  return Array.from({ length: DAY_MS / stepMs }, (_, step) => device.sample(MIDNIGHT + step * stepMs, memory)[key]);
}

test("the demo home has six devices of all kinds with names and slugs of their own", () => {
  assert.equal(DEMO_DEVICES.length, 6);
  assert.equal(new Set(DEMO_DEVICES.map((device) => device.slug)).size, 6);
  assert.equal(new Set(DEMO_DEVICES.map((device) => device.name)).size, 6);
  assert.deepEqual([...new Set(DEMO_DEVICES.map((device) => device.deviceClass))].toSorted(), [
    "hybrid",
    "ir_hub",
    "relay_controller",
    "sensor_hub",
  ]);
});

describe("every demo device", () => {
  const parseCapabilities = parserFor(Capabilities);
  const parseTelemetry = parserFor(UP_PAYLOADS.telemetry);
  for (const device of DEMO_DEVICES) {
    test(`${device.slug} reports exactly the sensors it declares, all day`, () => {
      const keys = (parseCapabilities(device.capabilities).sensors ?? []).map((sensor) => sensor.key).toSorted();
      const memory = newDemoMemory();
      for (let t = MIDNIGHT; t < MIDNIGHT + DAY_MS; t += 10 * 60_000) {
        const values = device.sample(t, memory);
        memory.sampledAt = t;
        assert.deepEqual(Object.keys(values).toSorted(), keys);
        if (keys.length > 0) parseTelemetry({ ts: t, values });
      }
    });
  }
});

test("the bedroom is warmest in the afternoon, and drier when it is warmer", () => {
  const temperatures = dayOf("bedroom-climate", "temperature").map(Number);
  const humidities = dayOf("bedroom-climate", "humidity").map(Number);
  const warmest = temperatures.indexOf(Math.max(...temperatures)) / 60;
  const coldest = temperatures.indexOf(Math.min(...temperatures)) / 60;
  assert.ok(warmest > 13 && warmest < 19, `warmest at ${warmest}`);
  assert.ok(coldest > 1 && coldest < 7, `coldest at ${coldest}`);
  assert.ok(Math.min(...temperatures) > 15 && Math.max(...temperatures) < 25);
  assert.ok((humidities[4 * 60] ?? 0) > (humidities[16 * 60] ?? 100));
});

test("the hall sees more movement in the evening than at night, and occupancy outlasts movement", () => {
  const motion = dayOf("hall-presence", "motion", 5_000);
  const occupancy = dayOf("hall-presence", "occupancy", 5_000);
  const hour = (from: number, to: number): number => motion.slice(from * 720, to * 720).filter(Boolean).length / (to - from);
  assert.ok(hour(17, 23) > 3 * hour(0, 6), `${hour(17, 23)} against ${hour(0, 6)}`);
  assert.ok(motion.every((moving, step) => !moving || occupancy[step] === true));
  assert.ok(occupancy.filter(Boolean).length > 2 * motion.filter(Boolean).length);
});

test("the meter's energy is the power over time, and its relay adds 1.2 kW", () => {
  const device = definition("energy-meter");
  const hour = (relay: "ON" | "OFF"): number => {
    const memory = newDemoMemory();
    memory.state = { relays: [{ index: 0, state: relay }], lights: [] };
    let energy = 0;
    for (let t = MIDNIGHT; t <= MIDNIGHT + 3_600_000; t += 10_000) {
      energy = Number(device.sample(t, memory).energy);
      memory.sampledAt = t;
    }
    return energy;
  };
  assert.ok(Math.abs(hour("ON") - hour("OFF") - 1.2) < 0.001, `${hour("ON")} against ${hour("OFF")}`);
  assert.ok(hour("OFF") > 0.05 && hour("OFF") < 0.2);
});

test("a started demo device sends its first reading at once", { skip: mosquittoMissing() }, async () => {
  await using broker = await startMosquitto(["set_tcp_nodelay true"]);
  await using hub = await startHubSide(broker.url);
  await using device = await startDemoDevice(definition("energy-meter"), {
    url: broker.url,
    uid: "energy-meter-1",
    password: "not checked here",
  });
  const [reading] = await until(() => hub.up(device.uid, "telemetry").length > 0 && hub.up(device.uid, "telemetry"), {
    what: "the first reading",
  });
  assert.deepEqual(Object.keys(reading?.values as object), ["power", "energy", "voltage"]);
  assert.equal(hub.up(device.uid, "register")[0]?.model, "Demo Meter");
});
