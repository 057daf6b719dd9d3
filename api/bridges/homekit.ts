import Type from "typebox";
import { defineRoute } from "../route.ts";

const Pairing = Type.Object(
  {
    bridge: Type.Integer(),
    name: Type.String(),
    username: Type.String({ description: "The bridge's id, in the form of a MAC address" }),
    port: Type.Integer(),
    pin: Type.String({ description: "What somebody types into Apple's Home: 123-45-678" }),
    setup_uri: Type.String({ description: "What the QR code says" }),
    paired: Type.Boolean(),
  },
  { title: "HomekitPairing" },
);

export const pairings = defineRoute({
  method: "GET",
  path: "/api/v1/bridges/homekit/pairings",
  tag: "Smart homes",
  summary: "How to add the bridges of HomeKit in Apple's Home",
  description: "Whoever has a code can add the bridge for as long as nobody else has, and then switches what is on it.",
  access: "service.manage",
  replies: {
    200: {
      description: "One code for each bridge; none where HomeKit is off",
      schema: Type.Object({ data: Type.Array(Pairing) }, { title: "HomekitPairingList" }),
    },
  },
  errors: ["unavailable"],
  async handler({ context, principal }) {
    const data = await context.homekitPairings.of(principal.organizationId);
    return {
      status: 200,
      body: { data: data.map(({ setupUri, isPaired, ...one }) => ({ ...one, setup_uri: setupUri, paired: isPaired })) },
    };
  },
});
