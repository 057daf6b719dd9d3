import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Ajv } from "ajv";

/*
 * What the Smart Home Skill API asks of a skill's messages, written from its documentation and not from the bridge. Where
 * HEXA_TEST_ALEXA_SCHEMA names Amazon's own schema of them (draft 4), that is asked too.
 */

type Json = Readonly<Record<string, unknown>>;

export interface AlexaMessage {
  readonly event: {
    readonly header: { readonly namespace: string; readonly name: string; readonly messageId: string; readonly correlationToken?: string };
    readonly endpoint?: { readonly endpointId: string };
    readonly payload: Json;
  };
  readonly context?: { readonly properties: readonly AlexaProperty[] };
}
export interface AlexaProperty {
  readonly namespace: string;
  readonly name: string;
  readonly instance?: string;
  readonly value: unknown;
  readonly timeOfSample: string;
  readonly uncertaintyInMilliseconds: number;
}
export interface AlexaEndpoint {
  readonly endpointId: string;
  readonly friendlyName: string;
  readonly displayCategories: readonly string[];
  readonly capabilities: readonly (Json & { readonly interface: string; readonly instance?: string })[];
}

const KINDS = new Set([
  "Alexa.Response",
  "Alexa.StateReport",
  "Alexa.ErrorResponse",
  "Alexa.ChangeReport",
  "Alexa.Discovery.Discover.Response",
  "Alexa.Discovery.AddOrUpdateReport",
  "Alexa.Discovery.DeleteReport",
  "Alexa.Authorization.AcceptGrant.Response",
  "Alexa.Authorization.ErrorResponse",
  "Alexa.SceneController.ActivationStarted",
]);
const ERRORS = new Set(
  `ALREADY_IN_OPERATION BRIDGE_UNREACHABLE CLOUD_CONTROL_DISABLED ENDPOINT_BUSY ENDPOINT_LOW_POWER ENDPOINT_UNREACHABLE
  EXPIRED_AUTHORIZATION_CREDENTIAL FIRMWARE_OUT_OF_DATE HARDWARE_MALFUNCTION INSUFFICIENT_PERMISSIONS INTERNAL_ERROR
  INVALID_AUTHORIZATION_CREDENTIAL INVALID_DIRECTIVE INVALID_VALUE NO_SUCH_ENDPOINT NOT_CALIBRATED NOT_IN_OPERATION
  NOT_SUPPORTED_IN_CURRENT_MODE POWER_LEVEL_NOT_SUPPORTED RATE_LIMIT_EXCEEDED TEMPERATURE_VALUE_OUT_OF_RANGE
  TOO_MANY_FAILED_ATTEMPTS VALUE_OUT_OF_RANGE`.split(/\s+/),
);
const CAUSES = new Set(["APP_INTERACTION", "PERIODIC_POLL", "PHYSICAL_INTERACTION", "RULE_TRIGGER", "VOICE_INTERACTION"]);
const CATEGORIES = new Set([
  "CONTACT_SENSOR",
  "LIGHT",
  "MOTION_SENSOR",
  "OTHER",
  "SCENE_TRIGGER",
  "SMARTPLUG",
  "SWITCH",
  "TEMPERATURE_SENSOR",
]);
const ENDPOINT_ID = /^[a-zA-Z0-9_\-=#;:?@&]{1,256}$/;
const INSTANCED = new Set(["Alexa.ModeController", "Alexa.RangeController", "Alexa.ToggleController"]);

const isOneOf =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const isWithin =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    typeof value === "number" && value >= least && value <= most;

const VALUES: Readonly<Record<string, (value: unknown) => boolean>> = {
  "Alexa.PowerController.powerState": isOneOf("ON", "OFF"),
  "Alexa.ToggleController.toggleState": isOneOf("ON", "OFF"),
  "Alexa.BrightnessController.brightness": (value) => Number.isInteger(value) && isWithin(0, 100)(value),
  "Alexa.ColorTemperatureController.colorTemperatureInKelvin": (value) => Number.isInteger(value) && isWithin(1_000, 10_000)(value),
  "Alexa.ContactSensor.detectionState": isOneOf("DETECTED", "NOT_DETECTED"),
  "Alexa.MotionSensor.detectionState": isOneOf("DETECTED", "NOT_DETECTED"),
  "Alexa.TemperatureSensor.temperature": (value) => {
    const { value: degrees, scale } = value as { value: unknown; scale: unknown };
    return typeof degrees === "number" && isOneOf("CELSIUS", "FAHRENHEIT", "KELVIN")(scale);
  },
  "Alexa.RangeController.rangeValue": (value) => typeof value === "number",
  "Alexa.ModeController.mode": (value) => typeof value === "string",
  "Alexa.EndpointHealth.connectivity": (value) => isOneOf("OK", "UNREACHABLE")((value as { value: unknown }).value),
};

/** Throws for whatever Alexa would not take. */
export function assertAlexa(message: unknown): AlexaMessage {
  const { event, context } = message as AlexaMessage;
  const { namespace, name, messageId } = event.header;
  const kind = `${namespace}.${name}`;
  assert.ok(KINDS.has(kind), `no message of a skill: ${kind}`);
  assert.match(messageId, /^[a-zA-Z0-9-]{1,127}$/);
  assert.equal((event.header as unknown as Json)["payloadVersion"], "3");
  if (event.endpoint) assert.match(event.endpoint.endpointId, ENDPOINT_ID);
  const properties = context?.properties ?? [];
  properties.forEach(assertProperty);
  switch (kind) {
    case "Alexa.Response":
    case "Alexa.StateReport":
      assert.ok(event.endpoint, "whose state?");
      assert.ok(context, "an answer has the state in its context");
      assert.deepEqual(event.payload, {});
      break;
    case "Alexa.ErrorResponse":
      assert.ok(ERRORS.has(String(event.payload["type"])), String(event.payload["type"]));
      assert.equal(typeof event.payload["message"], "string");
      assert.equal(context, undefined);
      break;
    case "Alexa.Authorization.ErrorResponse":
      assert.equal(event.payload["type"], "ACCEPT_GRANT_FAILED");
      break;
    case "Alexa.SceneController.ActivationStarted":
      assertCause(event.payload["cause"]);
      assert.match(String(event.payload["timestamp"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/);
      break;
    case "Alexa.ChangeReport":
      assertChange(event.payload["change"] as Json, properties);
      break;
    case "Alexa.Discovery.Discover.Response":
    case "Alexa.Discovery.AddOrUpdateReport":
      assertEndpoints(event.payload["endpoints"] as AlexaEndpoint[]);
      break;
    case "Alexa.Discovery.DeleteReport":
      for (const { endpointId } of event.payload["endpoints"] as AlexaEndpoint[]) assert.match(endpointId, ENDPOINT_ID);
      break;
  }
  assertBySchema(message, kind);
  return message as AlexaMessage;
}

function assertProperty(property: AlexaProperty, index: number, all: readonly AlexaProperty[]): void {
  const { namespace, name, instance, value, timeOfSample, uncertaintyInMilliseconds } = property;
  const isRight = VALUES[`${namespace}.${name}`];
  assert.ok(isRight, `no property: ${namespace}.${name}`);
  assert.ok(isRight(value), `${namespace}.${name}: ${JSON.stringify(value)}`);
  assert.equal(instance !== undefined, INSTANCED.has(namespace), `instance of ${namespace}`);
  assert.match(timeOfSample, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/);
  assert.ok(uncertaintyInMilliseconds >= 0);
  assert.equal(
    all.findIndex((one) => keyOf(one) === keyOf(property)),
    index,
    `twice: ${keyOf(property)}`,
  );
}

export const keyOf = ({ namespace, name, instance }: AlexaProperty): string => [namespace, name, instance ?? ""].join(" ");

function assertCause(cause: unknown): void {
  assert.ok(CAUSES.has((cause as { type: string }).type), JSON.stringify(cause));
}

/** What has changed stands in the payload, everything else in the context. */
function assertChange({ cause, properties }: Json, others: readonly AlexaProperty[]): void {
  assertCause(cause);
  const changed = properties as AlexaProperty[];
  assert.ok(changed.length > 0, "nothing has changed");
  changed.forEach(assertProperty);
  for (const one of others) assert.ok(!changed.some((other) => keyOf(other) === keyOf(one)), `twice: ${keyOf(one)}`);
}

function assertEndpoints(endpoints: readonly AlexaEndpoint[]): void {
  assert.ok(endpoints.length <= 300, `${endpoints.length} endpoints`);
  assert.equal(new Set(endpoints.map(({ endpointId }) => endpointId)).size, endpoints.length);
  for (const endpoint of endpoints) {
    assert.match(endpoint.endpointId, ENDPOINT_ID);
    assert.match(endpoint.friendlyName, /^[\p{L}\p{M}\p{N} ]{1,128}$/u);
    for (const member of ["manufacturerName", "description"] as const) {
      const text = (endpoint as unknown as Json)[member];
      assert.ok(typeof text === "string" && text.length >= 1 && text.length <= 128, `${member}: ${String(text)}`);
    }
    assert.ok(endpoint.displayCategories.length > 0);
    for (const category of endpoint.displayCategories) assert.ok(CATEGORIES.has(category), category);
    assertCapabilities(endpoint);
  }
}

function assertCapabilities({ endpointId, capabilities }: AlexaEndpoint): void {
  assert.ok(capabilities.length <= 100, `${capabilities.length} capabilities`);
  const names = capabilities.map((one) => `${one.interface} ${one.instance ?? ""}`);
  assert.equal(new Set(names).size, names.length, `${endpointId}: ${names.join(", ")}`);
  assert.ok(names.includes("Alexa "), `${endpointId} lacks Alexa`);
  if (!names.includes("Alexa.SceneController ")) assert.ok(names.includes("Alexa.EndpointHealth "), `${endpointId} lacks EndpointHealth`);
  for (const one of capabilities) {
    assert.equal(one["type"], "AlexaInterface");
    assert.equal(one["version"], "3");
    assert.equal(one.instance !== undefined, INSTANCED.has(one.interface));
    if (one.instance === undefined) continue;
    const { friendlyNames } = one["capabilityResources"] as { friendlyNames: unknown[] };
    assert.ok(friendlyNames.length > 0);
    if (one.interface !== "Alexa.ToggleController") assert.ok(one["configuration"], one.interface);
  }
}

/** Draft 4 has booleans where later ones have the limit itself; none of them is true here. */
function withoutBooleans(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutBooleans);
  if (typeof schema !== "object" || schema === null) return schema;
  const left = Object.entries(schema).filter(([name, value]) => !(name.startsWith("exclusive") && value === false) && name !== "$schema");
  return Object.fromEntries(left.map(([name, value]) => [name, withoutBooleans(value)]));
}

const schemaFile = process.env["HEXA_TEST_ALEXA_SCHEMA"];
const validate =
  schemaFile === undefined
    ? undefined
    : new Ajv({ strict: false, validateFormats: false, logger: false }).compile(
        withoutBooleans(JSON.parse(readFileSync(schemaFile, "utf8"))) as object,
      );

/** The schema is older than DeleteReport. */
function assertBySchema(message: unknown, kind: string): void {
  if (!validate || kind === "Alexa.Discovery.DeleteReport") return;
  assert.ok(validate(message), JSON.stringify({ message, errors: validate.errors?.slice(0, 5) }));
}
