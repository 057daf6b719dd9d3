import { newId } from "../core/id.ts";
import type { Timers } from "../core/timer.ts";
import type { DeliveryStatus } from "../core/webhook.ts";
import type { Db } from "./open.ts";
import { idsParameter, engineOf, isoOf, type Page, pageOf, rowSource, rowsOf, storableText, toJson } from "./sql.ts";

/** One event on its way to one webhook; its id is the message's, however often it is sent. */
export interface Delivery {
  readonly id: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly status: DeliveryStatus;
  /** With the one under way. */
  readonly attempts: number;
  /** While it is pending: when it is sent, or sent again if whoever sends it dies. */
  readonly nextAttemptAt: string;
  /** Then it is given up. */
  readonly expiresAt: string;
  /** What the receiver has answered last, if it did. */
  readonly responseStatus: number | null;
  readonly error: string | null;
  readonly latencyMs: number | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

export type NewDelivery = Pick<Delivery, "organizationId" | "webhookId" | "eventId" | "eventType">;

/** So many wait for one webhook; of further events it is not told. */
export const MAX_PENDING = 5_000;
export const DELIVERY_TTL_MS = 86_400_000;
const KEPT_MS = 7 * 86_400_000;

const COLUMNS = {
  id: "text",
  organization_id: "text",
  webhook_id: "text",
  event_id: "text",
  event_type: "text",
  next_attempt_at: "time",
  expires_at: "time",
  created_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");

/** Part of the transaction of what is told of; sent when that is committed. Gives those for which there was room. */
export async function queueDeliveries(trx: Db, timers: Timers<Db>, wanted: readonly NewDelivery[]): Promise<Delivery[]> {
  const now = timers.now();
  const rows = wanted.map((one) => ({
    id: newId(),
    organization_id: one.organizationId,
    webhook_id: one.webhookId,
    event_id: one.eventId,
    event_type: one.eventType,
    next_attempt_at: isoOf(now),
    expires_at: isoOf(now + DELIVERY_TTL_MS),
    created_at: isoOf(now),
  }));
  const made = await rowsOf<DeliveryRow>(
    trx,
    // What waits is counted once for each webhook, however many events there are.
    `with wanted as materialized (select * from ${rowSource(trx, COLUMNS)}),
       counted as materialized (
         select w.webhook_id as counted_id, (
           select count(*) from (
             select 1 from webhook_deliveries d where d.webhook_id = w.webhook_id and d.status = 'pending' limit ${MAX_PENDING}) as few
         ) as waiting from (select distinct webhook_id from wanted) as w)
     insert into webhook_deliveries (${NAMES}, status) select ${NAMES}, 'pending' from (
       select wanted.*, waiting + row_number() over (partition by webhook_id order by id) as place
       from wanted join counted on counted_id = webhook_id) as placed
     where place <= ${MAX_PENDING} returning *`,
    [toJson(rows)],
  );
  await wakeSenders(trx, timers, made);
  return made.map(deliveryOf);
}

/**
 * Makes a node send what is due. A key for each transaction: those that have an event for the same webhook do not wait for
 * each other.
 */
export async function wakeSenders(
  trx: Db,
  timers: Timers<Db>,
  due: readonly Pick<DeliveryRow, "webhook_id" | "organization_id">[],
): Promise<void> {
  const webhooks = new Map(due.map((row) => [row.webhook_id, row.organization_id]));
  const dueAt = timers.now();
  if (webhooks.size === 0) return;
  await timers.put(
    trx,
    [...webhooks].map(([webhook, organizationId]) => ({
      kind: "webhook_delivery",
      key: newId(),
      organizationId,
      dueAt,
      isRelative: true,
      payload: { webhook },
    })),
  );
}

/** Gives what is due to this caller alone, until `heldUntil`: whoever dies with one does not keep it. */
export async function claimDeliveries(
  trx: Db,
  webhookId: string,
  { now, heldUntil, limit }: { readonly now: number; readonly heldUntil: number; readonly limit: number },
): Promise<Delivery[]> {
  const rows = await rowsOf<DeliveryRow>(
    trx,
    `update webhook_deliveries set attempts = attempts + 1, next_attempt_at = ? where id in (
       select id from webhook_deliveries where webhook_id = ? and status = 'pending' and next_attempt_at <= ?
       order by next_attempt_at, id limit ? ${engineOf(trx) === "postgres" ? "for update skip locked" : ""}
     ) returning *`,
    [isoOf(heldUntil), webhookId, isoOf(now), limit],
  );
  return rows.map(deliveryOf);
}

/** Of these, those for which something is due. */
export async function webhooksWithDue(db: Db, webhookIds: readonly string[], now: number): Promise<Set<string>> {
  const rows = await rowsOf<{ webhook_id: string }>(
    db,
    `select distinct webhook_id from webhook_deliveries where status = 'pending' and next_attempt_at <= ? and webhook_id in ${idsParameter(db)}`,
    [isoOf(now), toJson(webhookIds)],
  );
  return new Set(rows.map((row) => row.webhook_id));
}

/** What waited until now is not sent any more: given up where it was tried. Gives how many of each. */
export async function expireDeliveries(trx: Db, webhookId: string, now: number): Promise<Map<DeliveryStatus, number>> {
  return counted(
    await rowsOf<{ status: DeliveryStatus }>(
      trx,
      `update webhook_deliveries set status = case when attempts = 0 then 'dropped' else 'dead' end, finished_at = ?,
         error = coalesce(error, 'it waited too long')
       where webhook_id = ? and status = 'pending' and expires_at <= ? returning status`,
      [isoOf(now), webhookId, isoOf(now)],
    ),
  );
}

/** The webhook is gone, or switched off. Gives how many. */
export async function dropPending(trx: Db, webhookId: string, now: number): Promise<number> {
  return await trx("webhook_deliveries")
    .where({ webhook_id: webhookId, status: "pending" })
    .update({ status: "dropped", finished_at: isoOf(now), error: "the webhook was switched off" });
}

/** How an attempt went. */
export interface Attempt {
  readonly responseStatus: number | null;
  readonly error: string | null;
  readonly latencyMs: number | null;
}
const attemptColumns = ({ responseStatus, error, latencyMs }: Attempt) => ({
  response_status: responseStatus,
  error: error === null ? null : storableText(error).slice(0, 500),
  latency_ms: latencyMs === null ? null : Math.round(latencyMs),
});

/** False when it has ended already. */
export async function endDelivery(
  trx: Db,
  id: string,
  { status, attempt, now }: { readonly status: Exclude<DeliveryStatus, "pending">; readonly attempt: Attempt; readonly now: number },
): Promise<boolean> {
  const ended = await trx("webhook_deliveries")
    .where({ id, status: "pending" })
    .update({ status, finished_at: isoOf(now), ...attemptColumns(attempt) });
  return ended > 0;
}

/** It is sent again at `at`. False when it has ended, or somebody else sends it already. */
export async function postponeDelivery(
  trx: Db,
  { id, attempts }: Pick<Delivery, "id" | "attempts">,
  { at, attempt }: { readonly at: number; readonly attempt: Attempt | "none" },
): Promise<boolean> {
  const changed = await trx("webhook_deliveries")
    .where({ id, status: "pending", attempts })
    .update({ next_attempt_at: isoOf(at), ...(attempt === "none" ? { attempts: attempts - 1 } : attemptColumns(attempt)) });
  return changed > 0;
}

export interface DeliveryFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly status?: DeliveryStatus | undefined;
}

/** Newest first. The webhook is one that may be seen. */
export async function listDeliveries(db: Db, webhookId: string, { limit, after, status }: DeliveryFilter): Promise<Page<Delivery>> {
  const query = db("webhook_deliveries")
    .where({ webhook_id: webhookId })
    .orderBy("id", "desc")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", "<", after);
  if (status !== undefined) query.where({ status });
  return pageOf(((await query) as DeliveryRow[]).map(deliveryOf), limit, ({ id }) => id);
}

/** undefined when the webhook has no such delivery. */
export async function lockDelivery(trx: Db, webhookId: string, id: string): Promise<Delivery | undefined> {
  const row = (await trx("webhook_deliveries").where({ id, webhook_id: webhookId }).forUpdate().first()) as DeliveryRow | undefined;
  return row && deliveryOf(row);
}

/** The clock was set: what waits is due so much later, or earlier, as its timers are. */
export async function shiftDeliveries(trx: Db, stepMs: number): Promise<void> {
  const shifted = (column: string): string =>
    engineOf(trx) === "postgres"
      ? `${column} + cast(? as float8) * interval '1 millisecond'`
      : `strftime('%Y-%m-%dT%H:%M:%fZ', ${column}, (cast(? as real) / 1000) || ' seconds')`;
  await rowsOf(
    trx,
    `update webhook_deliveries set next_attempt_at = ${shifted("next_attempt_at")}, expires_at = ${shifted("expires_at")} where status = 'pending'`,
    [stepMs, stepMs],
  );
}

/** Removes those that ended a week ago, and those whose webhook is gone. Gives how many. */
export async function purgeDeliveries(db: Db, now: number): Promise<number> {
  const old = await db("webhook_deliveries")
    .whereNotNull("finished_at")
    .where("finished_at", "<=", isoOf(now - KEPT_MS))
    .del();
  const orphans = await rowsOf(
    db,
    `delete from webhook_deliveries where status = 'pending' and expires_at <= ?
       and not exists (select 1 from webhooks w where w.id = webhook_deliveries.webhook_id) returning id`,
    [isoOf(now)],
  );
  return old + orphans.length;
}

interface DeliveryRow {
  id: string;
  organization_id: string;
  webhook_id: string;
  event_id: string;
  event_type: string;
  status: DeliveryStatus;
  attempts: number;
  next_attempt_at: string;
  expires_at: string;
  response_status: number | null;
  error: string | null;
  latency_ms: number | null;
  created_at: string;
  finished_at: string | null;
}

function counted(rows: readonly { readonly status: DeliveryStatus }[]): Map<DeliveryStatus, number> {
  return new Map([...Map.groupBy(rows, ({ status }) => status)].map(([status, group]) => [status, group.length]));
}

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    organizationId: row.organization_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    eventType: row.event_type,
    status: row.status,
    attempts: row.attempts,
    nextAttemptAt: row.next_attempt_at,
    expiresAt: row.expires_at,
    responseStatus: row.response_status,
    error: row.error,
    latencyMs: row.latency_ms,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
  };
}
