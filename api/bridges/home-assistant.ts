import Type, { type Static } from "typebox";
import { bridgeEvent } from "../../core/bridge-event.ts";
import { HubError } from "../../core/errors.ts";
import { newDeviceUid } from "../../core/id.ts";
import { actorOf } from "../../core/principal.ts";
import { createAccessToken, findAccessToken, revokeAccessToken } from "../../store/access-tokens.ts";
import { personBehind } from "../../store/authors.ts";
import { findHomeAssistantAccount, putHomeAssistantAccount } from "../../store/home-assistant.ts";
import type { Db } from "../../store/open.ts";
import type { ApiContext } from "../context.ts";
import { type Call, defineRoute } from "../route.ts";

const TAG = "Smart homes";
const PATH = "/api/v1/bridges/home_assistant/account";
const DISCOVERY_PREFIX = "homeassistant";

const Form = Type.Enum(["device", "component"], {
  description:
    "`device`: one discovery message a device, for Home Assistant 2024.11 and later; `component`: one for each thing that it has, for older ones. When it changes, entities keep their ids.",
});
const BrokerAddress = Type.Object({ host: Type.String(), port: Type.Integer(), tls: Type.Boolean() }, { title: "BrokerAddress" });
type BrokerAddress = Static<typeof BrokerAddress>;

const AccountForm = Type.Object({ form: Form }, { title: "HomeAssistantForm" });
const NewAccount = Type.Object(
  {
    broker: Type.String({ description: "Home Assistant's field Broker" }),
    port: Type.Integer(),
    username: Type.String(),
    password: Type.String({ description: "Shown once" }),
    discovery_prefix: Type.String({ description: "As Home Assistant has it, unless somebody changed it there" }),
    form: Form,
    listeners: Type.Array(BrokerAddress, {
      description:
        "Where the hub listens; the first is the one above. For TLS Home Assistant needs the hub's CA certificate, which is at /ca.pem.",
    }),
  },
  { title: "HomeAssistantAccount" },
);

export const createAccount = defineRoute({
  method: "POST",
  path: PATH,
  tag: TAG,
  summary: "Make the account that Home Assistant connects with",
  description:
    "What Home Assistant's MQTT integration asks for. Made again it has another password, and what connects with the former one is disconnected.",
  access: "service.manage",
  body: Type.Object({ form: Type.Optional(Form) }, { additionalProperties: false, title: "HomeAssistantAccountRequest" }),
  bodyExample: {},
  replies: { 201: { description: "What to paste into Home Assistant", schema: NewAccount } },
  errors: ["conflict", "quota_exceeded"],
  handler: (call) => {
    const { context, principal, body, commit } = call;
    const { organizationId } = principal;
    const listeners = listenersOf(context);
    const [first] = listeners;
    if (!first) throw new HubError("conflict", "no MQTT listener of the hub is open: see HEXA_MQTT_TLS and HEXA_MQTT_PLAIN");
    return commit(async (db) => {
      const account = await findHomeAssistantAccount(db, organizationId);
      const form = body.form ?? account?.form ?? "device";
      const { id, name, token, former } = await renewToken(call, db, account?.accessTokenId ?? undefined);
      await putHomeAssistantAccount(db, { organizationId, accessTokenId: id, form }, context.clock());
      const answer = {
        broker: first.host,
        port: first.port,
        username: name,
        password: token,
        discovery_prefix: DISCOVERY_PREFIX,
        form,
        listeners,
      };
      const event = { bridge: "home_assistant", organizationId, broker: "own", actor: actorOf(principal), now: context.clock() } as const;
      return {
        answer: { status: 201, body: answer },
        events: [bridgeEvent("linked", event)],
        audit: [{ ...about(organizationId), action: "home_assistant.account.create", details: { username: name, access_token: id, form } }],
        afterwards: async () => {
          if (former !== undefined) await context.sessions.disconnect({ credentialIds: [former] }, "revoked");
          await context.homeAssistant.changed(organizationId);
        },
      };
    });
  },
});

export const updateAccount = defineRoute({
  method: "PATCH",
  path: PATH,
  tag: TAG,
  summary: "Say in which form Home Assistant is told of devices",
  access: "service.manage",
  body: Type.Object({ form: Form }, { additionalProperties: false, title: "HomeAssistantAccountPatch" }),
  bodyExample: { form: "component" },
  replies: { 200: { description: "As it is now", schema: AccountForm } },
  errors: ["not_found"],
  handler: ({ context, principal: { organizationId }, body: { form }, commit }) =>
    commit(async (db) => {
      const account = await findHomeAssistantAccount(db, organizationId);
      if (!account || account.isUnlinked) throw new HubError("not_found", "there is no account for Home Assistant: make one first");
      await putHomeAssistantAccount(db, { ...account, form }, context.clock());
      return {
        answer: { status: 200, body: { form } },
        audit: [{ ...about(organizationId), action: "home_assistant.account.update", before: { form: account.form }, after: { form } }],
        afterwards: () => context.homeAssistant.changed(organizationId),
      };
    }),
});

const about = (organizationId: string) => ({ organizationId, resourceType: "bridge", resourceId: "home_assistant" });

/** TLS first: the others are the hub's own machine, unless somebody opened them. */
function listenersOf({ settings }: Pick<ApiContext, "settings">): BrokerAddress[] {
  return [settings.mqttsUrl(), settings.mqttUrl()]
    .filter((url) => url !== null)
    .map((url) => {
      const { protocol, hostname, port } = new URL(url);
      return {
        host: hostname.replace(/^\[|\]$/g, ""),
        port: Number(port || (protocol === "mqtts:" ? 8883 : 1883)),
        tls: protocol === "mqtts:",
      };
    });
}

/** Under the name of the former one, which ends. It may do what Home Assistant does, and nothing else. */
async function renewToken({ context, principal }: Call<"service.manage">, db: Db, former: string | undefined) {
  const { organizationId } = principal;
  const scope = { kind: "organization", organizationId } as const;
  const old = former === undefined ? undefined : await findAccessToken(db, scope, { id: former });
  if (old) await revokeAccessToken(db, scope, old.id, context.clock());
  const name = old && old.revokedAt === null ? old.name : newDeviceUid("home-assistant");
  const made = await createAccessToken(db, context.keys, {
    kind: "service",
    name,
    organizationId,
    createdBy: await personBehind(db, actorOf(principal), null),
    permissions: ["device.read", "device.control", "bus.publish"],
    purpose: "home-assistant",
  });
  return { ...made, name, former: old?.id };
}
