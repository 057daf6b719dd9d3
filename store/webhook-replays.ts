import type { Timers } from "../core/timer.ts";
import type { Db } from "./open.ts";
import { isoOf, rowsOf } from "./sql.ts";
import { type Delivery, DELIVERY_TTL_MS, MAX_PENDING, wakeSenders } from "./webhook-deliveries.ts";

/** Of one that is sent anew; bind {@link anew}. */
const ANEW = `status = 'pending', attempts = 0, next_attempt_at = ?, expires_at = ?, response_status = null, error = null,
  latency_ms = null, finished_at = null`;
const anew = (now: number): string[] => [isoOf(now), isoOf(now + DELIVERY_TTL_MS)];

/** Sends it anew, under the same id: a receiver that has had it knows. */
export async function replayDelivery(trx: Db, timers: Timers<Db>, { id, webhookId, organizationId }: Delivery): Promise<void> {
  await rowsOf(trx, `update webhook_deliveries set ${ANEW} where id = ?`, [...anew(timers.now()), id]);
  await wakeSenders(trx, timers, [{ webhook_id: webhookId, organization_id: organizationId }]);
}

/** Those that did not get through since `since`, in ms since 1970: as many as there is room for, the oldest first. Gives how many. */
export async function replayFailed(
  trx: Db,
  timers: Timers<Db>,
  webhook: { readonly id: string; readonly organizationId: string; readonly since: number },
): Promise<number> {
  const { id, organizationId, since } = webhook;
  const waiting = (await trx("webhook_deliveries").where({ webhook_id: id, status: "pending" }).count({ count: "*" }).first()) as {
    count: number;
  };
  const room = Math.max(0, MAX_PENDING - waiting.count);
  const again = await rowsOf<{ id: string }>(
    trx,
    `update webhook_deliveries set ${ANEW} where id in (
       select id from webhook_deliveries where webhook_id = ? and status in ('dead', 'dropped') and created_at >= ? order by id limit ?
     ) returning id`,
    [...anew(timers.now()), id, isoOf(since), room],
  );
  if (again.length > 0) await wakeSenders(trx, timers, [{ webhook_id: id, organization_id: organizationId }]);
  return again.length;
}
