import type { Log } from "../../core/bus.ts";
import { newAudit } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { type AlexaGrant, deleteGrant, readTold } from "../../store/alexa-grants.ts";
import { insertAudit } from "../../store/audit.ts";
import { inTransaction } from "../../store/transaction.ts";
import { GrantTokens, type GrantTokensContext } from "./grant-tokens.ts";
import { discoveryEvent } from "./link.ts";

export interface LinkEndsContext extends GrantTokensContext {
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
  const { db, clock } = context;
  const { organizationId, userId } = grant;
  await inTransaction(db, async (trx) => {
    if (!(await deleteGrant(trx, grant))) return;
    const about = { organizationId, actor: SYSTEM, resourceType: "bridge", resourceId: "alexa", now: clock() };
    await insertAudit(trx, [newAudit({ ...about, action: "bridge.unlink", details: { user_id: userId, reason: "credential_ended" } })]);
  });
}
