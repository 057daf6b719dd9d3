/** A trigger, a condition or an action, as docs/automations.md tells them. The hub judges it; what no field shows is kept as it is. */
export interface Node {
  readonly kind: string;
  readonly [field: string]: unknown;
}

export type Field =
  | { readonly as: "device"; readonly isOptional?: true }
  /** A key of the device's sensors. */
  | { readonly as: "sensor" }
  /** A relay or a light of the device. */
  | { readonly as: "output" }
  | { readonly as: "command" }
  | { readonly as: "scene" }
  | { readonly as: "days" }
  | { readonly as: "recurrence" }
  | { readonly as: "time"; readonly name: string }
  | { readonly as: "number"; readonly name: string; readonly min?: number; readonly isNeeded?: true }
  | { readonly as: "text"; readonly name: string; readonly isOptional?: true; readonly maxLength: number; readonly example?: string }
  | { readonly as: "choice"; readonly name: string; readonly of: readonly string[]; readonly isOptional?: true };

/** What can be filled in of each kind, and what it begins with. */
export interface Kind {
  readonly fields: readonly Field[];
  readonly preset: Readonly<Record<string, unknown>>;
}
export type Role = "trigger" | "condition" | "action";

const DEVICE = { as: "device" } as const;
const ANY_DEVICE = { as: "device", isOptional: true } as const;
const OUTPUT = { as: "output" } as const;
const HELD = { as: "number", name: "for_s", min: 0.1 } as const;
const BOUNDS = [
  { as: "number", name: "above" },
  { as: "number", name: "below" },
] as const;
const ON_OFF = ["ON", "OFF"] as const;

const TRIGGERS: Readonly<Record<string, Kind>> = {
  telemetry: { fields: [ANY_DEVICE, { as: "sensor" }, ...BOUNDS, HELD], preset: { key: "", above: 25 } },
  state: {
    fields: [DEVICE, OUTPUT, { as: "choice", name: "to", of: ON_OFF, isOptional: true }, HELD],
    preset: { device: "", relay: 0, to: "ON" },
  },
  input_event: {
    fields: [
      ANY_DEVICE,
      { as: "number", name: "input", min: 0 },
      { as: "choice", name: "event", of: ["press", "release", "click", "double_click", "button_hold"], isOptional: true },
    ],
    preset: { input: 0, event: "click" },
  },
  device_offline: { fields: [ANY_DEVICE, HELD], preset: {} },
  device_online: { fields: [ANY_DEVICE, HELD], preset: {} },
  event: { fields: [{ as: "text", name: "type", maxLength: 100, example: "alert.raised" }], preset: { type: "" } },
  schedule: { fields: [{ as: "recurrence" }], preset: { recurrence: { kind: "cron", expression: "0 8 * * *" } } },
};

const CONDITIONS: Readonly<Record<string, Kind>> = {
  time_window: {
    fields: [
      { as: "time", name: "from" },
      { as: "time", name: "to" },
    ],
    preset: { from: "18:00", to: "07:00" },
  },
  day: { fields: [{ as: "days" }], preset: { days: ["mon", "tue", "wed", "thu", "fri"] } },
  numeric: { fields: [DEVICE, { as: "sensor" }, ...BOUNDS], preset: { device: "", key: "", below: 20 } },
  state: { fields: [DEVICE, OUTPUT, { as: "choice", name: "is", of: ON_OFF }], preset: { device: "", relay: 0, is: "ON" } },
  presence: {
    fields: [DEVICE, { as: "choice", name: "is", of: ["online", "stale", "offline"] }],
    preset: { device: "", is: "online" },
  },
};

const ACTIONS: Readonly<Record<string, Kind>> = {
  command: {
    fields: [DEVICE, { as: "command" }],
    preset: { device: "", command: { command: "set_relay", relay: 0, state: "ON" } },
  },
  scene: { fields: [{ as: "scene" }], preset: { scene_id: "" } },
  notify: {
    fields: [
      { as: "text", name: "title", maxLength: 200 },
      { as: "text", name: "body", maxLength: 2_000, isOptional: true },
      { as: "choice", name: "severity", of: ["info", "warning", "critical"], isOptional: true },
    ],
    preset: { title: "" },
  },
  delay: { fields: [{ as: "number", name: "for_s", min: 0.1, isNeeded: true }], preset: { for_s: 60 } },
  event: { fields: [{ as: "text", name: "type", maxLength: 97, example: "custom.told" }], preset: { type: "custom." } },
};

export const KINDS: Readonly<Record<Role, Readonly<Record<string, Kind>>>> = { trigger: TRIGGERS, condition: CONDITIONS, action: ACTIONS };

/** Of a node that names a relay or a light: "relay 0". */
export function outputOf({ relay, light }: Node): string {
  const [kind, index] = light === undefined ? ["relay", relay] : ["light", light];
  return `${kind} ${typeof index === "number" ? index : 0}`;
}

export const newNode = (role: Role, kind: string): Node => ({ kind, ...KINDS[role][kind]?.preset });
