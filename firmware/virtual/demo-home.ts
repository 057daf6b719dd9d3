import type { Capabilities, DeviceClass } from "../../core/device.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../core/durations.ts";
import type { SensorValue } from "../../core/payloads.ts";
import { type DeviceState, NO_STATE } from "../../core/state.ts";
import { startVirtualDevice, type VirtualDevice, type VirtualDeviceOptions } from "./device.ts";

/** What a demo device carries from one sample to the next. */
export interface DemoMemory {
  /** The outputs at the time of the sample. */
  state: DeviceState;
  /** When the last sample was taken, ms since 1970; null before the first. */
  sampledAt: number | null;
  energyKwh: number;
}

export interface DemoDefinition {
  /** Names it inside the demo home; its uid is the hub's to give. */
  readonly slug: string;
  readonly name: string;
  readonly deviceClass: DeviceClass;
  readonly model: string;
  readonly capabilities: Capabilities;
  /** Between two samples. */
  readonly everyMs: number;
  /** The values at `t` (ms since 1970). The same time and memory give the same values; none for a device without sensors. */
  sample(t: number, memory: DemoMemory): Record<string, SensorValue>;
}

export type DemoConnection = Pick<
  VirtualDeviceOptions,
  "url" | "ca" | "uid" | "password" | "protocolVersion" | "topicRoot" | "now" | "log"
>;

export const DEMO_DEVICES: readonly DemoDefinition[] = [
  {
    slug: "living-room-relays",
    name: "Living room relays",
    deviceClass: "relay_controller",
    model: "Demo Relay 4",
    capabilities: { relays: 4, inputs: 4 },
    everyMs: MINUTE_MS,
    sample: () => ({}),
  },
  {
    slug: "kitchen-light",
    name: "Kitchen light",
    deviceClass: "hybrid",
    model: "Demo Dimmer",
    capabilities: { lights: 1, sensors: [{ key: "light_power", unit: "W", device_class: "power" }] },
    everyMs: 15_000,
    sample: (_t, { state }) => ({ light_power: lightPower(state) }),
  },
  {
    slug: "living-room-infrared",
    name: "Living room infrared",
    deviceClass: "ir_hub",
    model: "Demo IR",
    capabilities: { ir: true },
    everyMs: MINUTE_MS,
    sample: () => ({}),
  },
  {
    slug: "bedroom-climate",
    name: "Bedroom climate",
    deviceClass: "sensor_hub",
    model: "Demo TH",
    capabilities: {
      sensors: [
        { key: "temperature", unit: "°C", device_class: "temperature" },
        { key: "humidity", unit: "%", device_class: "humidity" },
      ],
    },
    everyMs: 10_000,
    sample: (t) => ({ temperature: round(temperatureAt(t), 1), humidity: round(humidityAt(t), 1) }),
  },
  {
    slug: "hall-presence",
    name: "Hall presence",
    deviceClass: "sensor_hub",
    model: "Demo PIR and mmWave",
    capabilities: {
      sensors: [
        { key: "motion", device_class: "motion" },
        { key: "occupancy", device_class: "occupancy" },
        { key: "illuminance", unit: "lx", device_class: "illuminance" },
      ],
    },
    everyMs: 5_000,
    sample: (t) => ({ motion: isMovingAt(t), occupancy: isOccupiedAt(t), illuminance: Math.round(illuminanceAt(t)) }),
  },
  {
    slug: "energy-meter",
    name: "Energy meter",
    deviceClass: "hybrid",
    model: "Demo Meter",
    capabilities: {
      relays: 1,
      sensors: [
        { key: "power", unit: "W", device_class: "power" },
        { key: "energy", unit: "kWh", device_class: "energy" },
        { key: "voltage", unit: "V", device_class: "voltage" },
      ],
    },
    // So often that a chart of it is seen to move.
    everyMs: 2_000,
    sample: meter,
  },
];

export function newDemoMemory(): DemoMemory {
  return { state: NO_STATE, sampledAt: null, energyKwh: 0 };
}

/** Connects the device and lets it report by itself, the first time at once. */
export async function startDemoDevice(definition: DemoDefinition, connection: DemoConnection): Promise<VirtualDevice> {
  const { deviceClass, capabilities, model, everyMs } = definition;
  const memory = newDemoMemory();
  const sample = (t: number, state: DeviceState): Record<string, SensorValue> | undefined => {
    memory.state = state;
    const values = definition.sample(t, memory);
    memory.sampledAt = t;
    return Object.keys(values).length > 0 ? values : undefined;
  };
  const device = await startVirtualDevice({
    ...connection,
    deviceClass,
    capabilities,
    model,
    ...((capabilities.sensors ?? []).length > 0 ? { behaviour: { everyMs, sample } } : {}),
  });
  const first = sample((connection.now ?? Date.now)(), device.state);
  // A console that opens now must not wait for the first interval; a lost first reading is followed by the next.
  if (first)
    await device
      .sendTelemetry(first)
      .catch((error: unknown) => connection.log?.({ deviceUid: device.uid, error }, "first reading was not taken"));
  return device;
}

/** 17.5 to 22.5 °C over the day, warmest at 16:00 UTC, with a drift over the week and the ripple of a heating. */
function temperatureAt(t: number): number {
  return (
    20 + 2 * Math.cos(turn(t - 16 * HOUR_MS, DAY_MS)) + 0.35 * Math.sin(turn(t, 7 * DAY_MS)) + 0.15 * Math.sin(turn(t, 23 * MINUTE_MS))
  );
}

/** The warmer the drier, around 45 %. */
function humidityAt(t: number): number {
  return clamp(45 - 4 * (temperatureAt(t) - 20) + 3 * Math.sin(turn(t, 5 * HOUR_MS)), 20, 80);
}

/** Dark at night, 800 lx at noon UTC. */
function illuminanceAt(t: number): number {
  const sun = Math.max(0, Math.cos(turn(t - 12 * HOUR_MS, DAY_MS)));
  return 2 + 800 * sun + 40 * sun * Math.sin(turn(t, 17 * MINUTE_MS));
}

const SLOT_MS = 3 * MINUTE_MS;

/** In each three minutes at most one burst of 10 to 40 s, seldom at night, often in the morning and the evening. */
function isMovingAt(t: number): boolean {
  const slot = Math.floor(t / SLOT_MS);
  const hour = (t % DAY_MS) / HOUR_MS;
  const likely = hour < 6 ? 0.03 : hour < 9 || hour >= 17 ? 0.6 : 0.25;
  if (noise(slot) >= likely) return false;
  const startsAt = noise(slot ^ 0x5eed) * (SLOT_MS - 40_000);
  const lastsMs = 10_000 + noise(slot ^ 0xbee) * 30_000;
  const at = t % SLOT_MS;
  return at >= startsAt && at < startsAt + lastsMs;
}

/** The radar still sees somebody who sits down: for two minutes after the last movement. */
function isOccupiedAt(t: number): boolean {
  for (let ago = 0; ago <= 2 * MINUTE_MS; ago += 5_000) if (isMovingAt(t - ago)) return true;
  return false;
}

function meter(t: number, memory: DemoMemory): Record<string, SensorValue> {
  const hoursSince = memory.sampledAt === null ? 0 : Math.max(0, t - memory.sampledAt) / HOUR_MS;
  const watts = meteredPower(t, memory.state);
  memory.energyKwh += (watts * hoursSince) / 1000;
  return { power: round(watts, 1), energy: round(memory.energyKwh, 4), voltage: round(230 + 2 * Math.sin(turn(t, 11 * MINUTE_MS)), 1) };
}

/** The base load with a refrigerator, and 1.2 kW while the relay is on. */
function meteredPower(t: number, state: DeviceState): number {
  const refrigerator = t % (45 * MINUTE_MS) < 15 * MINUTE_MS ? 90 : 0;
  const switched = state.relays.filter((relay) => relay.state === "ON").length * 1200;
  return 60 + refrigerator + switched + 8 * Math.sin(turn(t, 7 * MINUTE_MS));
}

/** 9 W at full brightness, 0.3 W in stand-by. */
function lightPower(state: DeviceState): number {
  const watts = state.lights.map((light) => (light.state === "ON" ? 9 * ((light.brightness ?? 100) / 100) : 0));
  return round(0.3 + watts.reduce((sum, one) => sum + one, 0), 2);
}

function turn(t: number, periodMs: number): number {
  return (2 * Math.PI * (t % periodMs)) / periodMs;
}

/** 0 to 1, the same for the same number: an integer hash, so that the home's history can be computed for any time. */
function noise(seed: number): number {
  let x = Math.imul(seed ^ (seed >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
