import Type, { type Static } from "typebox";
import type { DeviceClass, DeviceSettings } from "./device.ts";
import type { Sensor } from "./sensor.ts";

/** The smart homes that see an organisation's devices. */
export const BRIDGES = ["home_assistant", "homekit", "alexa"] as const;
export type BridgeName = (typeof BRIDGES)[number];

/** In which smart homes a device is; in all of them, unless somebody says otherwise. */
export const Exposure = Type.Object(
  Object.fromEntries(BRIDGES.map((name) => [name, Type.Boolean()])) as Record<BridgeName, Type.TBoolean>,
  {
    additionalProperties: false,
    title: "Exposure",
  },
);
export type Exposure = Static<typeof Exposure>;

/** A device as smart homes see it: each of them makes its own things of it. */
export interface HomeDevice {
  readonly id: string;
  /** Never another's, so that what is named after it stays the same thing. */
  readonly uid: string;
  readonly organizationId: string;
  readonly name: string;
  readonly deviceClass: DeviceClass;
  readonly model: string | null;
  readonly serialNumber: string | null;
  readonly firmwareVersion: string | null;
  /** The name of its room. */
  readonly room: string | null;
  /** How many there are of each; indexes run from 0. */
  readonly relays: number;
  readonly lights: number;
  readonly inputs: number;
  /** The indexes of the lights that have told a colour temperature. */
  readonly tunableLights: readonly number[];
  readonly hasIr: boolean;
  readonly settings: DeviceSettings;
  /** By key, as people see them, virtual ones too; without those that are hidden. */
  readonly sensors: ReadonlyMap<string, Sensor>;
  readonly irCodes: readonly { readonly id: string; readonly name: string }[];
  readonly exposure: Exposure;
}

/** How a bridge is doing for an organisation. */
export interface BridgeState {
  /** `off`: nobody has set it up. `waiting`: it is set up, and the other side is not there. `failed`: it takes somebody to look. */
  readonly status: "off" | "waiting" | "connected" | "failed";
  /** ms since 1970; when that began, if it is known. */
  readonly since: number | null;
  /** In words for whoever uses the hub. */
  readonly lastError: { readonly at: number; readonly code: string; readonly message: string } | null;
  /** By what is counted, for example `devices` or `commands`. */
  readonly counts: Readonly<Record<string, number>>;
  /** What else there is to know of this bridge; no secrets. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** A bridge, as the API asks it. Each does what it says for the one organisation. */
export interface Bridge {
  readonly name: BridgeName;
  state(organizationId: string): Promise<BridgeState>;
  /** Tells the other side everything again. Throws `bridge_off` where it is not set up. */
  resend(organizationId: string): Promise<void>;
  /** Takes back everything that the other side has, and forgets how it was set up. Resolves when nothing of it is left here. */
  unlink(organizationId: string): Promise<void>;
}

/** What else the API says to Home Assistant's bridge. */
export interface HomeAssistantControl {
  /** The organisation's account was made, or is something else than before. */
  changed(organizationId: string): Promise<void>;
}
