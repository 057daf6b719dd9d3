import { bridgeEvent } from "../../core/bridge-event.ts";
import type { EventSink, Log } from "../../core/bus.ts";
import { newAudit } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { type AlexaGrant, deleteGrant, readTold } from "../../store/alexa-grants.ts";
import { insertAudit } from "../../store/audit.ts";
import { insertEvents } from "../../store/events.ts";
import { inTransaction } from "../../store/transaction.ts";
import { GrantTokens, type GrantTokensContext } from "./grant-tokens.ts";
import { discoveryEvent } from "./link.ts";

export interface LinkEndsContext extends GrantTokensContext {
  readonly events: EventSink;
  readonly log: Log;
}

/** Nobody waits longer for what is only to be taken back. */
export const TAKE_BACK_MS = 5_000;

/** Tells Alexa that there is nothing any more, as far as Amazon can be reached: what is taken back here is not kept for it. */
export async function takeBack(context: LinkEndsContext, grant: AlexaGrant, signal: AbortSignal): Promise<void> {
  const { db, amazon, log } = context;
  const ids = [...(await readTold(db, grant.id)).keys()];
  if (ids.length === 0 || grant.status === "failed") return;
  const tokens = new GrantTokens(context, grant, signal);
  const endpoints = ids.map((endpointId) => ({ endpointId }));
  await tokens
    .use((token) => amazon.send(discoveryEvent("DeleteReport", { endpoints, scope: token }), token, signal))
    .catch((error: unknown) => log.warn({ err: error, grant_id: grant.id }, "Alexa could not be told that she is unlinked"));
}

/** Of somebody whose credential has ended. A hub that stops meanwhile does it when it is back. */
export async function endLink(context: LinkEndsContext, grant: AlexaGrant, signal: AbortSignal): Promise<void> {
  await takeBack(context, grant, AbortSignal.any([signal, AbortSignal.timeout(TAKE_BACK_MS)]));
  if (signal.aborted) return;
  const { db, clock, events } = context;
  const { organizationId, userId } = grant;
  const now = clock();
  const reason = "credential_ended";
  const event = bridgeEvent("unlinked", { bridge: "alexa", organizationId, userId, actor: SYSTEM, now }, { reason });
  const { correlationId } = event;
  const isEnded = await inTransaction(db, async (trx) => {
    if (!(await deleteGrant(trx, grant))) return false;
    await insertEvents(trx, [event]);
    const about = { organizationId, actor: SYSTEM, resourceType: "bridge", resourceId: "alexa", correlationId, now };
    await insertAudit(trx, [newAudit({ ...about, action: "bridge.unlink", details: { user_id: userId, reason } })]);
    return true;
  });
  if (isEnded) await events.emit([event]);
}
