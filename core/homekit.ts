import Type, { type Static } from "typebox";

/** What a service of an accessory is in HomeKit. */
export const HOMEKIT_KINDS = [
  "switch",
  "outlet",
  "light",
  "motion",
  "occupancy",
  "contact",
  "leak",
  "smoke",
  "temperature",
  "humidity",
  "illuminance",
  "button",
] as const;
export type HomekitKind = (typeof HOMEKIT_KINDS)[number];

export const HomekitService = Type.Object(
  {
    id: Type.String({ description: "Stays the same for as long as it is the same thing" }),
    kind: Type.Enum([...HOMEKIT_KINDS]),
    name: Type.String(),
    state: Type.String({ description: "Topic" }),
    set: Type.Optional(Type.String({ description: "Topic" })),
    unit: Type.Optional(Type.String()),
    input: Type.Optional(Type.Integer({ description: "Which button it is" })),
  },
  { title: "HomekitService" },
);
export type HomekitService = Static<typeof HomekitService>;

export const HomekitAccessory = Type.Object(
  {
    uid: Type.String(),
    name: Type.String(),
    model: Type.String(),
    firmware: Type.String(),
    availability: Type.String({ description: "Topic" }),
    services: Type.Array(HomekitService),
  },
  { title: "HomekitAccessory" },
);
export type HomekitAccessory = Static<typeof HomekitAccessory>;

/** All that one bridge shows: what is not in it is gone. One message a bridge, whose accessories are so few that it stays small. */
export const HomekitList = Type.Object(
  { follow: Type.Array(Type.String(), { description: "Filters of all topics that it names" }), accessories: Type.Array(HomekitAccessory) },
  { title: "HomekitList" },
);
export type HomekitList = Static<typeof HomekitList>;

/** What somebody needs to add a bridge in Apple's Home. */
export interface HomekitPairing {
  readonly bridge: number;
  readonly name: string;
  /** The bridge's id, in the form of a MAC address. */
  readonly username: string;
  readonly port: number;
  /** As it is typed: 123-45-678. */
  readonly pin: string;
  /** What the QR code says. */
  readonly setupUri: string;
  readonly isPaired: boolean;
}

export interface HomekitPairings {
  /** None where HomeKit is not on for the organisation; throws `unavailable` while no node has it. */
  of(organizationId: string): Promise<readonly HomekitPairing[]>;
}
