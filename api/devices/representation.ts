import Type from "typebox";
import { Capabilities, type Device, DeviceClass, DeviceSettings, Presence, Sensitivity } from "../../core/device.ts";
import { DOWN_PAYLOADS, type DownType, UP_PAYLOADS, type UpType } from "../../core/payloads.ts";
import { LightState, RelayState } from "../../core/state.ts";
import type { Topics } from "../../core/topics.ts";
import { versionOf } from "../../core/version.ts";
import type { DescribedOutput } from "../../store/state.ts";
import type { ApiSettings } from "../context.ts";
import { nullable } from "../fields.ts";

export const DeviceView = Type.Object(
  {
    id: Type.String(),
    uid: Type.String(),
    name: Type.String(),
    device_class: DeviceClass,
    model: nullable("string"),
    serial_number: nullable("string"),
    firmware_version: nullable("string"),
    organization_id: nullable("string", { description: "null until somebody claims it" }),
    owner_id: nullable("string"),
    room_id: nullable("string"),
    site_id: nullable("string", { description: "Of the room" }),
    capabilities: Capabilities,
    settings: DeviceSettings,
    sensitivity: Sensitivity,
    ota_security_version: Type.Integer(),
    is_demo: Type.Boolean(),
    connection_status: Presence,
    last_seen_at: nullable("string"),
    last_ip: nullable("string"),
    clock_error: Type.Unsafe<{ offset_ms: number; since: string } | null>({
      anyOf: [Type.Object({ offset_ms: Type.Integer(), since: Type.String() }, { title: "DeviceClockError" }), { type: "null" }],
      description: "By how much the clock that it stamps its readings with is ahead, as far as it is wrong (docs/operations.md)",
    }),
    claimed_at: nullable("string"),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "Device" },
);

export const DeviceDetail = Type.Object(
  {
    device: DeviceView,
    state: Type.Object({ relays: Type.Array(RelayState), lights: Type.Array(LightState) }, { title: "DeviceState" }),
    reasons: Type.Array(
      Type.Object(
        {
          kind: Type.Enum(["relay", "light"]),
          index: Type.Integer(),
          changed_at: Type.String(),
          actor: Type.Object({ kind: Type.String(), id: Type.String() }),
          source: Type.String(),
          command_id: nullable("string"),
          correlation_id: nullable("string"),
          rule_version: nullable("integer", { description: "Of the automation or schedule that is the actor" }),
        },
        { title: "StateReason" },
      ),
      { description: "Who and what each output is as it is for" },
    ),
    sensors: Type.Array(
      Type.Object(
        {
          key: Type.String(),
          value: Type.Union([Type.Number(), Type.Boolean(), Type.String()]),
          ts: Type.String({ description: "the event's time" }),
          received_at: Type.String(),
        },
        { title: "SensorState" },
      ),
      { description: "the latest value of every series, by event time" },
    ),
  },
  { title: "DeviceDetail" },
);

export function deviceJson(device: Device): Record<string, unknown> {
  return {
    id: device.id,
    uid: device.uid,
    name: device.name,
    device_class: device.deviceClass,
    model: device.model,
    serial_number: device.serialNumber,
    firmware_version: device.firmwareVersion,
    organization_id: device.organizationId,
    owner_id: device.ownerId,
    room_id: device.roomId,
    site_id: device.siteId,
    capabilities: device.capabilities,
    settings: device.settings,
    sensitivity: device.sensitivity,
    ota_security_version: device.otaSecurityVersion,
    is_demo: device.isDemo,
    connection_status: device.connectionStatus,
    last_seen_at: device.lastSeenAt,
    last_ip: device.lastIp,
    clock_error: device.clockError && { offset_ms: device.clockError.offsetMs, since: device.clockError.since },
    claimed_at: device.claimedAt,
    created_at: device.createdAt,
    updated_at: device.updatedAt,
  };
}

export const reasonJson = ({ kind, index, changedAt, actor, source, commandId, correlationId, ruleVersion }: DescribedOutput) => ({
  kind,
  index,
  changed_at: changedAt,
  actor,
  source,
  command_id: commandId,
  correlation_id: correlationId,
  rule_version: ruleVersion,
});

/** Of what people change, and not of what the device says. */
export function deviceVersion({ id, name, settings, sensitivity, organizationId, roomId }: Device): string {
  return versionOf({ id, name, settings, sensitivity, organizationId, roomId });
}

export const TopicsView = Type.Object(
  {
    availability: Type.String({ description: "publish `online` here, with `offline` as the retained will" }),
    up: Type.Record(Type.String(), Type.String(), { description: "where the device publishes, by type" }),
    down: Type.Record(Type.String(), Type.String(), { description: "what the device subscribes to, by type" }),
  },
  { title: "DeviceTopics" },
);

/** The whole contract of one device's topics. */
export function topicsJson(topics: Topics, uid: string): Record<string, unknown> {
  const types = <T extends string>(payloads: Readonly<Record<T, unknown>>) => Object.keys(payloads) as T[];
  return {
    availability: topics.build({ kind: "availability", uid }),
    up: Object.fromEntries(types<UpType>(UP_PAYLOADS).map((type) => [type, topics.build({ kind: "up", uid, type })])),
    down: Object.fromEntries(types<DownType>(DOWN_PAYLOADS).map((type) => [type, topics.build({ kind: "down", uid, type })])),
  };
}

export const ConnectionFields = {
  mqtt_url: nullable("string", { description: "null when the plain listener is off" }),
  mqtts_url: nullable("string", { description: "null when the listener for TLS is off" }),
  wss_url: nullable("string", { description: "MQTT over WebSocket; null when it is off" }),
};

export function connectionJson(settings: ApiSettings): Record<string, string | null> {
  return { mqtt_url: settings.mqttUrl(), mqtts_url: settings.mqttsUrl(), wss_url: settings.wssUrl() };
}
