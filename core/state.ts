import Type, { type Static } from "typebox";

export const OnOff = Type.Enum(["ON", "OFF"], { title: "OnOff" });
export type OnOff = Static<typeof OnOff>;

export const RelayState = Type.Object({ index: Type.Integer({ minimum: 0, maximum: 31 }), state: OnOff }, { title: "RelayState" });
export type RelayState = Static<typeof RelayState>;

/** `brightness` is 0 to 100 per cent, Home Assistant's `brightness_scale: 100`. `color_temp` is in kelvin. */
export const LightState = Type.Object(
  {
    index: Type.Integer({ minimum: 0, maximum: 31 }),
    state: OnOff,
    brightness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    color_temp: Type.Optional(Type.Integer({ minimum: 1000, maximum: 12_000 })),
  },
  { title: "LightState" },
);
export type LightState = Static<typeof LightState>;

/** What a device says of its outputs; those that it does not name stay as they are. */
export const StateReport = Type.Object(
  {
    relays: Type.Optional(Type.Array(RelayState, { maxItems: 32 })),
    lights: Type.Optional(Type.Array(LightState, { maxItems: 32 })),
  },
  { title: "StateReport" },
);
export type StateReport = Static<typeof StateReport>;

/** What `light/<i>/state` carries: Home Assistant's JSON schema, the index stands in the topic. */
export const LightPayload = Type.Object(
  {
    state: OnOff,
    brightness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    color_mode: Type.Optional(
      Type.Literal("color_temp", { description: "With a colour temperature, which Home Assistant reads only then" }),
    ),
    color_temp: Type.Optional(Type.Integer({ minimum: 1000, maximum: 12_000 })),
  },
  { title: "LightPayload" },
);

export function lightPayload({ state, brightness, color_temp }: LightState): string {
  return JSON.stringify({
    state,
    ...(brightness === undefined ? {} : { brightness }),
    ...(color_temp === undefined ? {} : { color_mode: "color_temp", color_temp }),
  });
}

/** What is known of a device's outputs, each list sorted by index. */
export interface DeviceState {
  readonly relays: readonly RelayState[];
  readonly lights: readonly LightState[];
}

export const NO_STATE: DeviceState = { relays: [], lights: [] };

/** The outputs of `reported` that differ from `known`; what is not reported stays as it is, and of one that is reported twice the last word counts. */
export function changesBetween(known: DeviceState, reported: Partial<DeviceState>): DeviceState {
  const next = mergeState(known, reported);
  return {
    relays: next.relays.filter(({ index, state }) => known.relays.find((old) => old.index === index)?.state !== state),
    lights: next.lights.filter((light) => {
      const old = known.lights.find(({ index }) => index === light.index);
      return !old || old.state !== light.state || old.brightness !== light.brightness || old.color_temp !== light.color_temp;
    }),
  };
}

/** `known` with `changes` laid over it. */
export function mergeState(known: DeviceState, changes: Partial<DeviceState>): DeviceState {
  return { relays: overlay(known.relays, changes.relays ?? []), lights: overlay(known.lights, changes.lights ?? []) };
}

export function isEmptyState(state: DeviceState): boolean {
  return state.relays.length === 0 && state.lights.length === 0;
}

function overlay<T extends { index: number }>(old: readonly T[], fresh: readonly T[]): T[] {
  const byIndex = new Map(old.map((one) => [one.index, one]));
  for (const one of fresh) byIndex.set(one.index, { ...byIndex.get(one.index), ...one });
  return [...byIndex.values()].toSorted((a, b) => a.index - b.index);
}
