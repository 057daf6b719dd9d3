import type { SensorValue } from "../../core/payloads.ts";
import type { HomeFacts, HomeValue } from "../../store/home-facts.ts";
import { type DeviceEndpoint, type Part, rangeOf, SCALES } from "./endpoints.ts";

/** One thing that Alexa is told of an endpoint's state. */
export interface Property {
  readonly namespace: string;
  readonly name: string;
  readonly instance?: string;
  readonly value: unknown;
  readonly timeOfSample: string;
  readonly uncertaintyInMilliseconds: number;
}

/** A device that goes without a word is noticed by its keepalive. */
const PRESENCE_UNCERTAINTY_MS = 60_000;
const UNCERTAINTY_MS = 500;

/** All that is known of the endpoint. What a connected device has said of its outputs holds now. */
export function propertiesOf({ part, description }: DeviceEndpoint, facts: HomeFacts | undefined, now: number): Property[] {
  const { isOnline = false } = facts ?? {};
  const health = describe("EndpointHealth.connectivity", { value: isOnline ? "OK" : "UNREACHABLE" }, now, PRESENCE_UNCERTAINTY_MS);
  if (!facts) return [health];
  const hasColor = description.capabilities.some((one) => one["interface"] === "Alexa.ColorTemperatureController");
  return [...stateOf(part, facts, { now, hasColor }), health];
}

function stateOf(part: Part, facts: HomeFacts, { now, hasColor }: { readonly now: number; readonly hasColor: boolean }): Property[] {
  const at = (changedAt: string): number => (facts.isOnline ? now : Date.parse(changedAt));
  switch (part.kind) {
    case "relay":
    case "light": {
      const output = facts.outputs.find((one) => one.kind === part.kind && one.index === part.index);
      if (!output) return [];
      const { state, brightness, colorTemp, changedAt } = output;
      const properties = [describe("PowerController.powerState", state, at(changedAt))];
      if (part.kind === "relay") return properties;
      if (brightness !== null) properties.push(describe("BrightnessController.brightness", brightness, at(changedAt)));
      if (hasColor && colorTemp !== null)
        properties.push(describe("ColorTemperatureController.colorTemperatureInKelvin", Math.min(colorTemp, 10_000), at(changedAt)));
      return properties;
    }
    case "relays": {
      const relays = facts.outputs.filter(({ kind }) => kind === "relay");
      const last = relays
        .map(({ changedAt }) => new Date(changedAt).toISOString())
        .toSorted()
        .at(-1);
      if (last === undefined) return [];
      const isOn = relays.some(({ state }) => state === "ON");
      return [
        describe("PowerController.powerState", isOn ? "ON" : "OFF", at(last)),
        ...relays.map(({ index, state, changedAt }) => ({
          ...describe("ToggleController.toggleState", state, at(changedAt)),
          instance: `relay:${index}`,
        })),
      ];
    }
    case "sensor": {
      const known = facts.values.get(part.key);
      const property = known && sensorProperty(part, known);
      return property ? [property] : [];
    }
    case "remote":
      return [];
  }
}

function sensorProperty({ as, sensor }: Extract<Part, { kind: "sensor" }>, { value, at }: HomeValue): Property | undefined {
  if (as === "contact") return describe("ContactSensor.detectionState", detected(value), at);
  if (as === "motion") return describe("MotionSensor.detectionState", detected(value), at);
  if (typeof value !== "number") return undefined;
  if (as === "temperature") {
    const scale = SCALES[sensor.unit_of_measurement ?? "°C"] ?? "CELSIUS";
    return describe("TemperatureSensor.temperature", { value: Math.round(value * 10) / 10, scale }, at);
  }
  const { minimumValue, maximumValue } = rangeOf(sensor);
  const within = Math.min(maximumValue, Math.max(minimumValue, Math.round(value)));
  return { ...describe("RangeController.rangeValue", within, at), instance: "value" };
}

/** A door's contact is ON where it is open, and so it is for Alexa. */
const ON: ReadonlySet<SensorValue> = new Set([true, 1, "ON", "on", "true", "open"]);
const detected = (value: SensorValue): string => (ON.has(value) ? "DETECTED" : "NOT_DETECTED");

/** `what`: the interface without `Alexa.`, and the property. */
export function describe(what: string, value: unknown, at: number, uncertaintyInMilliseconds = UNCERTAINTY_MS): Property {
  const [interfaceName = "", name = ""] = what.split(".");
  const timeOfSample = new Date(at).toISOString();
  return { namespace: `Alexa.${interfaceName}`, name, value, timeOfSample, uncertaintyInMilliseconds };
}
