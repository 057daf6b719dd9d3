import { createHash } from "node:crypto";
import { AlexaError, type AlexaAsker, type AlexaDoor } from "../../core/alexa.ts";
import { bridgeEvent } from "../../core/bridge-event.ts";
import { HubError } from "../../core/errors.ts";
import { newAudit } from "../../core/event.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import { actorOf } from "../../core/principal.ts";
import type { Bridge, BridgeState } from "../../core/smart-home.ts";
import { countTold, deleteGrants, forgetDescriptions, hasGrantOf, listGrants, putGrant } from "../../store/alexa-grants.ts";
import { insertAudit } from "../../store/audit.ts";
import { insertEvents } from "../../store/events.ts";
import { inTransaction } from "../../store/transaction.ts";
import type { SmartHomeContext } from "../open-bridges.ts";
import { type Amazon, AmazonError, createAmazon } from "./amazon.ts";
import { createDirectives } from "./directives.ts";
import { Houses } from "./houses.ts";
import { TAKE_BACK_MS, takeBack } from "./link-ends.ts";
import { runReporter } from "./reporter.ts";

export interface OpenAlexa extends AsyncDisposable {
  readonly door: AlexaDoor;
  readonly bridge: Bridge;
}

/** Of the time in which Alexa wants an answer. */
const EXCHANGE_MS = 4_000;

/** Alexa's directives, over REST, and what she is told unasked. */
export function openAlexa(context: SmartHomeContext): OpenAlexa {
  const stack = new AsyncDisposableStack();
  const houses = stack.use(new Houses(context.homes));
  const amazon = createAmazon(context);
  const tell = (organizationId: string): Promise<void> =>
    context.bus.publish({ topic: HUB_TOPICS.alexa, payload: JSON.stringify({ key: organizationId }), qos: 1 });
  const links = { ...context, amazon, tell };
  if (amazon) {
    const find = (uid: string) => context.directory.find(uid);
    const work = (signal: AbortSignal): Promise<void> => runReporter({ ...context, amazon, find }, signal);
    stack.use(context.duties.hold("alexa", work));
  }
  const door = createDirectives({ ...context, ...context.rules, houses, acceptGrant: (code, asker) => acceptGrant(links, code, asker) });
  return { door, bridge: createBridge(links), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

type Links = SmartHomeContext & {
  readonly amazon: Amazon | undefined;
  readonly tell: (organizationId: string) => Promise<void>;
};

async function acceptGrant({ amazon, db, encryption, clock, events, tell }: Links, code: string, asker: AlexaAsker): Promise<void> {
  if (!amazon) throw new AlexaError("ACCEPT_GRANT_FAILED", "the hub has no client id and secret of the skill (HEXA_ALEXA_CLIENT_ID)");
  const { principal, requestId } = asker;
  const { id: userId, organizationId, tokenScope, credentialId } = principal;
  const codeHash = createHash("sha256").update(code).digest("base64url");
  // Amazon takes a code once, and asks again where it has not heard the answer.
  if (await hasGrantOf(db, { organizationId, userId }, codeHash)) return;
  const tokens = await amazon.exchange(code, AbortSignal.timeout(EXCHANGE_MS)).catch((cause: unknown) => {
    if (!(cause instanceof AmazonError)) throw cause;
    throw new AlexaError("ACCEPT_GRANT_FAILED", cause.message, { cause });
  });
  const now = clock();
  const actor = actorOf(principal);
  const event = bridgeEvent("linked", { bridge: "alexa", organizationId, userId, actor, now });
  await inTransaction(db, async (trx) => {
    await putGrant(trx, encryption, { organizationId, userId, tokenScope, credentialId, codeHash, tokens }, now);
    await insertEvents(trx, [event]);
    const { correlationId } = event;
    const about = { organizationId, resourceType: "bridge", resourceId: "alexa", details: {}, correlationId };
    await insertAudit(trx, [newAudit({ ...about, action: "bridge.link", actor, requestId, now })]);
  });
  await events.emit([event]);
  await tell(organizationId);
}

function createBridge(links: Links): Bridge {
  const { db, tell } = links;
  const off = (): HubError => new HubError("conflict", "nobody of the organisation has linked Alexa");
  return {
    name: "alexa",
    state: (organizationId) => stateOf(links, organizationId),
    async resend(organizationId) {
      if ((await listGrants(db, organizationId)).length === 0) throw off();
      await forgetDescriptions(db, organizationId);
      await tell(organizationId);
    },
    async unlink(organizationId) {
      const { amazon } = links;
      const signal = AbortSignal.timeout(TAKE_BACK_MS);
      if (amazon) for (const grant of await listGrants(db, organizationId)) await takeBack({ ...links, amazon }, grant, signal);
      await inTransaction(db, (trx) => deleteGrants(trx, organizationId));
      await tell(organizationId);
    },
  };
}

const ORDER = ["failed", "waiting", "connected"] as const;

async function stateOf({ db, config, amazon }: Links, organizationId: string): Promise<BridgeState> {
  const [grants, endpoints] = await Promise.all([listGrants(db, organizationId), countTold(db, organizationId)]);
  const status = ORDER.find((one) => grants.some((grant) => grant.status === one)) ?? "off";
  const since = grants.filter((grant) => grant.status === status).map((grant) => Date.parse(grant.statusSince));
  const errors = grants.flatMap(({ error }) => (error ? [{ ...error, at: Date.parse(error.at) }] : []));
  return {
    status,
    since: since.length === 0 ? null : Math.max(...since),
    lastError: errors.toSorted((a, b) => b.at - a.at)[0] ?? null,
    counts: { people: grants.length, endpoints, left_out: Math.max(0, ...grants.map(({ leftOut }) => leftOut)) },
    details: { region: config.alexaRegion, tells_changes: amazon !== undefined },
  };
}
