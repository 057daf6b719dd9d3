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

/** What `light/<i>/state` carries: Home Assistant's JSON schema, the index stands in the topic. */
export const LightPayload = Type.Object(
  {
    state: OnOff,
    brightness: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    color_temp: Type.Optional(Type.Integer({ minimum: 1000, maximum: 12_000 })),
  },
  { title: "LightPayload" },
);

export function lightPayload({ state, brightness, color_temp }: LightState): string {
  return JSON.stringify({
    state,
    ...(brightness === undefined ? {} : { brightness }),
    ...(color_temp === undefined ? {} : { color_temp }),
  });
}

/** What is known of a device's outputs, each list sorted by index. */
export interface DeviceState {
  readonly relays: readonly RelayState[];
  readonly lights: readonly LightState[];
}

export const NO_STATE: DeviceState = { relays: [], lights: [] };

/** The outputs of `reported` that differ from `known`; what is not reported stays as it is. */
export function changesBetween(known: DeviceState, reported: Partial<DeviceState>): DeviceState {
  const relays = (reported.relays ?? []).filter((relay) => known.relays.find((old) => old.index === relay.index)?.state !== relay.state);
  const lights = (reported.lights ?? [])
    .map((light) => ({ ...known.lights.find((old) => old.index === light.index), ...light }))
    .filter((light) => {
      const old = known.lights.find((one) => one.index === light.index);
      return !old || old.state !== light.state || old.brightness !== light.brightness || old.color_temp !== light.color_temp;
    });
  return { relays, lights };
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
