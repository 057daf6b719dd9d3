import Type, { type Static } from "typebox";
import { bridgeEvent } from "../../core/bridge-event.ts";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { type Bridge, BRIDGES, type BridgeName, type BridgeState } from "../../core/smart-home.ts";
import { nullable } from "../fields.ts";
import { type Call, defineRoute } from "../route.ts";

const TAG = "Smart homes";
const NamedBridge = Type.Object({ bridge: Type.Enum([...BRIDGES]) }, { additionalProperties: false });

const BridgeView = Type.Object(
  {
    bridge: Type.Enum([...BRIDGES]),
    status: Type.Enum(["off", "waiting", "connected", "failed"], {
      description:
        "`off`: nobody has set it up; `waiting`: it is set up, and the other side is not there; `failed`: somebody has to look at `last_error`",
    }),
    since: nullable("string"),
    last_error: Type.Unsafe<{ at: string; code: string; message: string } | null>({
      anyOf: [Type.Object({ at: Type.String({ format: "date-time" }), code: Type.String(), message: Type.String() }), { type: "null" }],
    }),
    counts: Type.Record(Type.String(), Type.Number()),
    details: Type.Record(Type.String(), Type.Unknown()),
  },
  { title: "Bridge" },
);
const OneBridge = Type.Object({ bridge: BridgeView }, { title: "OneBridge" });

const OFF: BridgeState = { status: "off", since: null, lastError: null, counts: {}, details: {} };

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/bridges",
  tag: TAG,
  summary: "How Home Assistant, HomeKit and Alexa are doing",
  access: "service.manage",
  replies: { 200: { description: "All of them", schema: Type.Object({ data: Type.Array(BridgeView) }, { title: "BridgeList" }) } },
  async handler({ context, principal }) {
    const data = await Promise.all(BRIDGES.map((name) => viewOf(context, name, principal.organizationId)));
    return { status: 200, body: { data } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/bridges/:bridge",
  tag: TAG,
  summary: "How one smart home is doing",
  access: "service.manage",
  params: NamedBridge,
  replies: { 200: { description: "The bridge", schema: OneBridge } },
  handler: async ({ context, principal, params }) => ({
    status: 200,
    body: { bridge: await viewOf(context, params.bridge, principal.organizationId) },
  }),
});

export const resend = defineRoute({
  method: "POST",
  path: "/api/v1/bridges/:bridge/resend",
  tag: TAG,
  summary: "Tell a smart home everything again",
  access: "service.manage",
  params: NamedBridge,
  replies: { 202: { description: "It is under way", schema: OneBridge } },
  errors: ["conflict", "unavailable"],
  async handler({ context, principal, params, commit }) {
    const { organizationId } = principal;
    await requireOn(context, params.bridge).resend(organizationId);
    const body = { bridge: await viewOf(context, params.bridge, organizationId) };
    return await commit(async () => ({
      answer: { status: 202, body },
      audit: [{ organizationId, action: "bridge.resend", resourceType: "bridge", resourceId: params.bridge }],
    }));
  },
});

export const unlink = defineRoute({
  method: "DELETE",
  path: "/api/v1/bridges/:bridge",
  tag: TAG,
  summary: "Take everything back from a smart home, and forget how it was set up",
  access: "service.manage",
  params: NamedBridge,
  replies: { 204: { description: "Gone" } },
  errors: ["conflict", "unavailable"],
  async handler({ context, principal, params: { bridge }, commit }) {
    const { organizationId } = principal;
    await requireOn(context, bridge).unlink(organizationId);
    const event = bridgeEvent("unlinked", { bridge, organizationId, actor: actorOf(principal), now: context.clock() });
    return await commit(async () => ({
      answer: { status: 204 },
      events: [event],
      audit: [{ organizationId, action: "bridge.unlink", resourceType: "bridge", resourceId: bridge }],
    }));
  },
});

type Bridges = Pick<Call["context"], "bridges">;

async function viewOf({ bridges }: Bridges, name: BridgeName, organizationId: string): Promise<Static<typeof BridgeView>> {
  const { since, lastError, ...state } = (await bridges.find((one) => one.name === name)?.state(organizationId)) ?? OFF;
  return {
    bridge: name,
    ...state,
    since: since === null ? null : new Date(since).toISOString(),
    last_error: lastError && { ...lastError, at: new Date(lastError.at).toISOString() },
  };
}

function requireOn({ bridges }: Bridges, name: BridgeName): Bridge {
  const bridge = bridges.find((one) => one.name === name);
  if (!bridge) throw new HubError("conflict", `the hub has no ${name} bridge that is on`);
  return bridge;
}
