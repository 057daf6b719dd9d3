import Type, { type Static } from "typebox";
import { COMMAND_ID } from "./command.ts";
import { Capabilities, DeviceSettings } from "./device.ts";
import { OnOff, StateReport } from "./state.ts";
import { TaskEnvelope, TaskResultEnvelope } from "./task-envelope.ts";
import { Timestamp } from "./timestamp.ts";

/*
 * What devices send stays open for growth: a firmware that is newer than the hub must not lose its readings over a
 * field the hub does not know. What the hub knows of it is checked strictly.
 */

/** The name of a sensor. */
export const SENSOR_KEY = /^[a-z][a-z0-9_]{0,63}$/;
const Key = Type.String({ pattern: SENSOR_KEY.source });
export const SensorValue = Type.Union([Type.Number(), Type.Boolean(), Type.String({ maxLength: 1024 })]);
export type SensorValue = Static<typeof SensorValue>;

export const Register = Type.Object(
  {
    capabilities: Type.Optional(Capabilities),
    firmware_version: Type.Optional(Type.String({ maxLength: 64 })),
    model: Type.Optional(Type.String({ maxLength: 128 })),
  },
  { title: "Register" },
);
export const Heartbeat = Type.Object(
  {
    uptime_s: Type.Optional(Type.Number({ minimum: 0 })),
    rssi: Type.Optional(Type.Number({ minimum: -200, maximum: 50 })),
    free_heap: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { title: "Heartbeat" },
);
export const InputEvent = Type.Object(
  {
    input: Type.Integer({ minimum: 0, maximum: 63 }),
    event: Type.Enum(["press", "release", "click", "double_click", "button_hold"]),
    duration_ms: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { title: "InputEvent" },
);
export const TelemetrySample = Type.Object(
  {
    ts: Type.Optional(Timestamp),
    values: Type.Record(Key, SensorValue, { minProperties: 1, maxProperties: 128, additionalProperties: false }),
  },
  { title: "TelemetrySample" },
);
export const Telemetry = Type.Union([TelemetrySample, Type.Array(TelemetrySample, { minItems: 1, maxItems: 500 })], { title: "Telemetry" });
export const Ack = Type.Object(
  {
    command_id: Type.String({ pattern: COMMAND_ID }),
    status: Type.Enum(["ok", "error"]),
    state: Type.Optional(Type.Union([OnOff, StateReport])),
    error: Type.Optional(Type.String({ maxLength: 512 })),
  },
  { title: "Ack" },
);
export const IrLearned = Type.Object(
  {
    timings: Type.Array(Type.Integer(), { minItems: 2, maxItems: 2048 }),
    carrier_hz: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 100_000 })),
    name: Type.Optional(Type.String({ maxLength: 64 })),
  },
  { title: "IrLearned" },
);
export const OtaStatus = Type.Object(
  {
    status: Type.Enum(["downloading", "verifying", "installing", "done", "failed"]),
    version: Type.Optional(Type.String({ maxLength: 64 })),
    progress: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
    error: Type.Optional(Type.String({ maxLength: 512 })),
  },
  { title: "OtaStatus" },
);
export const DeviceLog = Type.Object(
  { level: Type.Enum(["debug", "info", "warn", "error"]), message: Type.String({ maxLength: 2048 }) },
  { title: "DeviceLog" },
);

export type Register = Static<typeof Register>;
export type Heartbeat = Static<typeof Heartbeat>;
export type InputEvent = Static<typeof InputEvent>;
export type TelemetrySample = Static<typeof TelemetrySample>;
export type Telemetry = TelemetrySample | TelemetrySample[];
export type Ack = Static<typeof Ack>;
export type IrLearned = Static<typeof IrLearned>;

/** Device → hub, by the last level of `<root>/<uid>/up/<type>`. */
export const UP_PAYLOADS = {
  register: Register,
  heartbeat: Heartbeat,
  state_report: StateReport,
  input_event: InputEvent,
  telemetry: Telemetry,
  ack: Ack,
  task_result: TaskResultEnvelope,
  ir_learned: IrLearned,
  ota_status: OtaStatus,
  log: DeviceLog,
} as const;
export type UpType = keyof typeof UP_PAYLOADS;

/** `down/command`: the command's own fields beside its id. The device remembers the last ids and does none twice. */
export const DownCommand = Type.Object(
  { command_id: Type.String({ pattern: COMMAND_ID }), command: Type.String(), expires_at: Type.String({ format: "date-time" }) },
  { title: "DownCommand" },
);
export const Registered = Type.Object(
  { uid: Type.String(), time: Type.String({ format: "date-time" }), claimed: Type.Boolean(), heartbeat_interval_s: Type.Integer() },
  { title: "Registered" },
);
export const DownError = Type.Object(
  { code: Type.String(), message: Type.String(), topic: Type.String(), details: Type.Unknown() },
  { title: "DownError" },
);
export const DownOta = Type.Object({ version: Type.String() }, { title: "DownOta" });
/** What is received within this time is to be told on `up/ir_learned`: the first signal, once. */
export const DownIrLearn = Type.Object({ timeout_s: Type.Integer({ minimum: 1, maximum: 120 }) }, { title: "DownIrLearn" });

/** Hub → device, by the last level of `<root>/<uid>/down/<type>`. */
export const DOWN_PAYLOADS = {
  command: DownCommand,
  task: TaskEnvelope,
  ir_learn: DownIrLearn,
  config: DeviceSettings,
  ota: DownOta,
  registered: Registered,
  error: DownError,
} as const;
export type DownType = keyof typeof DOWN_PAYLOADS;
export type DownCommand = Static<typeof DownCommand>;
export type Registered = Static<typeof Registered>;
export type DownIrLearn = Static<typeof DownIrLearn>;
export type DownError = Static<typeof DownError>;

/** The light's `set` payload: Home Assistant's JSON schema without the index, which stands in the topic. */
export const LightSet = Type.Object(
  {
    state: Type.Optional(Type.Enum(["ON", "OFF", "TOGGLE"])),
    brightness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    color_temp: Type.Optional(Type.Integer({ minimum: 1000, maximum: 12_000 })),
    transition: Type.Optional(Type.Number({ minimum: 0, maximum: 3600 })),
  },
  { additionalProperties: false, title: "LightSet" },
);
export const IrSet = Type.Object(
  {
    timings: Type.Array(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 }), { minItems: 2, maxItems: 2048 }),
    carrier_hz: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 100_000 })),
    repeat: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
    modulation: Type.Optional(Type.Integer({ minimum: 10_000, maximum: 100_000, description: "`carrier_hz`, as Home Assistant calls it" })),
    repeat_count: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: "`repeat`, as Home Assistant calls it" })),
  },
  { additionalProperties: false, title: "IrSet" },
);
