import Type, { type Static } from "typebox";
import { PLATFORMS, STATE_CLASSES } from "./sensor-classes.ts";

export const DeviceClass = Type.Enum(["relay_controller", "ir_hub", "sensor_hub", "hybrid"], { title: "DeviceClass" });
export type DeviceClass = Static<typeof DeviceClass>;

/** How much harm a wrong command to the device can do, the least first. */
export const SENSITIVITIES = ["low", "normal", "high", "critical"] as const;
export const Sensitivity = Type.Enum([...SENSITIVITIES], { title: "Sensitivity" });
export type Sensitivity = Static<typeof Sensitivity>;

/** Whether commands that `before` made wait for an approval may go through after the change. */
export const isLessSensitive = (after: Sensitivity, before: Sensitivity): boolean =>
  SENSITIVITIES.indexOf(after) < SENSITIVITIES.indexOf(before);

export const Unit = Type.String({ maxLength: 16, description: "As Home Assistant writes it: °C, %, W, kWh, lx" });

/** One line. */
export const SensorName = Type.String({ minLength: 1, maxLength: 64, pattern: "^[^\\u0000-\\u001f\\u007f]*$" });

export const SensorCapability = Type.Object(
  {
    key: Type.String({ pattern: "^[a-z][a-z0-9_]{0,63}$" }),
    unit: Type.Optional(Unit),
    device_class: Type.Optional(
      Type.String({ maxLength: 32, description: "Home Assistant's device class, for example temperature or motion" }),
    ),
    name: Type.Optional(SensorName),
    platform: Type.Optional(Type.Enum([...PLATFORMS], { description: "sensor without it, but for classes that only a binary_sensor has" })),
    state_class: Type.Optional(Type.Enum([...STATE_CLASSES])),
    display_precision: Type.Optional(Type.Integer({ minimum: 0, maximum: 15, description: "Decimals that are shown" })),
    hidden: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false, title: "SensorCapability" },
);

/** What a device can do. Indexes run from 0 to count − 1. */
export const Capabilities = Type.Object(
  {
    relays: Type.Optional(Type.Integer({ minimum: 0, maximum: 32 })),
    lights: Type.Optional(Type.Integer({ minimum: 0, maximum: 32 })),
    inputs: Type.Optional(Type.Integer({ minimum: 0, maximum: 64 })),
    ir: Type.Optional(Type.Boolean()),
    sensors: Type.Optional(Type.Array(SensorCapability, { maxItems: 128 })),
    tasks: Type.Optional(Type.Boolean({ description: "it takes tasks whole, signed, on `down/task`" })),
  },
  { additionalProperties: false, title: "Capabilities" },
);
export type Capabilities = Static<typeof Capabilities>;

/** What a class has when the device does not say: enough for the first command on a bench. */
export function defaultCapabilities(deviceClass: DeviceClass): Capabilities {
  switch (deviceClass) {
    case "relay_controller":
      return { relays: 4 };
    case "ir_hub":
      return { ir: true };
    case "sensor_hub":
      return { sensors: [] };
    case "hybrid":
      return { relays: 4, sensors: [] };
  }
}

export const Presence = Type.Enum(["online", "stale", "offline"], { title: "Presence" });
export type Presence = Static<typeof Presence>;

/** A device without a heartbeat for this long is `stale`, twice that is `offline` (SPEC R-DEV-8). */
export const PRESENCE_TTL_MS = 120_000;

export function presenceAt(now: number, device: { connected: boolean; lastSeenAt: number | null }): Presence {
  if (!device.connected || device.lastSeenAt === null) return "offline";
  return now - device.lastSeenAt > PRESENCE_TTL_MS ? "stale" : "online";
}

/** Per-device settings that the device receives as retained `down/config`. */
export const DeviceSettings = Type.Object(
  {
    relay_names: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 32 })),
    power_restore: Type.Optional(Type.Enum(["off", "on", "last"])),
    inputs: Type.Optional(
      Type.Array(
        Type.Object(
          {
            index: Type.Integer({ minimum: 0, maximum: 63 }),
            name: Type.Optional(Type.String({ maxLength: 64 })),
            mode: Type.Optional(Type.Enum(["toggle", "momentary", "detached"])),
            relay: Type.Optional(Type.Integer({ minimum: 0, maximum: 31 })),
          },
          { additionalProperties: false },
        ),
        { maxItems: 64 },
      ),
    ),
    reading_interval_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
  },
  { additionalProperties: false, title: "DeviceSettings" },
);
export type DeviceSettings = Static<typeof DeviceSettings>;

/** A device as the store returns it. Times are ISO 8601 in UTC. */
export interface Device {
  readonly id: string;
  readonly uid: string;
  readonly name: string;
  readonly deviceClass: DeviceClass;
  readonly model: string | null;
  readonly serialNumber: string | null;
  readonly firmwareVersion: string | null;
  /** null until somebody claims it. */
  readonly organizationId: string | null;
  readonly ownerId: string | null;
  readonly roomId: string | null;
  /** Of the room. */
  readonly siteId: string | null;
  readonly capabilities: Capabilities;
  readonly settings: DeviceSettings;
  /** Not told to the device. */
  readonly sensitivity: Sensitivity;
  readonly otaSecurityVersion: number;
  readonly isDemo: boolean;
  readonly connectionStatus: Presence;
  readonly lastSeenAt: string | null;
  readonly lastIp: string | null;
  /** By how much its clock was ahead of the hub's when that was noticed; null while it is right. */
  readonly clockError: { readonly offsetMs: number; readonly since: string } | null;
  readonly claimedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}
