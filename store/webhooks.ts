import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { DisabledReason, WebhookTarget } from "../core/webhook.ts";
import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { fromJson, idsParameter, isoOf, type Page, pageOf, rowsOf, storableText, toJson } from "./sql.ts";
import { firstSecret, nextSecret, openSecrets, type SecretColumns } from "./webhook-secrets.ts";

/** Where events of an organisation are sent. Its secret is opened by {@link findSender} alone. */
export interface Webhook extends WebhookTarget {
  readonly organizationId: string;
  readonly name: string;
  readonly url: string;
  readonly isActive: boolean;
  /** In a row, until now. */
  readonly failureCount: number;
  readonly failingSince: string | null;
  readonly disabledAt: string | null;
  readonly disabledReason: DisabledReason | null;
  /** Until then both secrets sign. */
  readonly formerSecretUntil: string | null;
  /** Events that it was not told of, since too much waited. */
  readonly dropped: number;
  readonly lastDroppedAt: string | null;
  /** Until less than half of that waits. */
  readonly overflowingSince: string | null;
  readonly createdBy: string;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface WebhookFields {
  readonly name: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly deviceIds: readonly string[] | null;
  readonly isActive: boolean;
}

export const MAX_WEBHOOKS = 50;

/** Throws `quota_exceeded`. */
export async function createWebhook(
  trx: Db,
  encryption: Encryption,
  fields: WebhookFields & { readonly organizationId: string; readonly createdBy: string; readonly secret: string },
  now: number,
): Promise<Webhook> {
  const { organizationId, createdBy, secret } = fields;
  await lockOrganization(trx, organizationId);
  const found = (await trx("webhooks").where({ organization_id: organizationId }).count({ count: "*" }).first()) as { count: number };
  if (found.count >= MAX_WEBHOOKS)
    throw new HubError("quota_exceeded", `an organisation has at most ${MAX_WEBHOOKS} webhooks`, { details: { webhooks: MAX_WEBHOOKS } });
  const id = newId();
  await trx("webhooks").insert({
    id,
    organization_id: organizationId,
    ...columnsOf(fields),
    created_by: createdBy,
    version: 1,
    created_at: isoOf(now),
    updated_at: isoOf(now),
    ...(await firstSecret(trx, encryption, { table: "webhooks", id, organizationId }, secret)),
  });
  return await getWebhook(trx, organizationId, id);
}

/** Throws `not_found`. */
export async function getWebhook(db: Db, organizationId: string, id: string): Promise<Webhook> {
  return requireWebhook(await db("webhooks").where({ id, organization_id: organizationId }).first());
}

/** As it is until the transaction ends. Throws `not_found`. */
export async function lockWebhook(trx: Db, organizationId: string, id: string): Promise<Webhook> {
  return requireWebhook(await trx("webhooks").where({ id, organization_id: organizationId }).forUpdate().first());
}

/** In the order in which they were made. */
export async function listWebhooks(
  db: Db,
  organizationId: string,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<Page<Webhook>> {
  const query = db("webhooks")
    .where({ organization_id: organizationId })
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  return pageOf(((await query) as WebhookRow[]).map(webhookOf), limit, ({ id }) => id);
}

/** Whoever switches it on again gives it a new start. It has to be locked. */
export async function updateWebhook(trx: Db, before: Webhook, fields: WebhookFields, now: number): Promise<Webhook> {
  const isNew = { failure_count: 0, failing_since: null, disabled_at: null, disabled_reason: null, overflowing_since: null };
  await trx("webhooks")
    .where({ id: before.id })
    .update({
      ...columnsOf(fields),
      ...(fields.isActive && (!before.isActive || fields.url !== before.url) ? isNew : {}),
      version: before.version + 1,
      updated_at: isoOf(now),
    });
  return await getWebhook(trx, before.organizationId, before.id);
}

/** It has to be locked. */
export async function rotateWebhookSecret(
  trx: Db,
  encryption: Encryption,
  { id, organizationId, version }: Webhook,
  { secret, now }: { readonly secret: string; readonly now: number },
): Promise<Webhook> {
  const row = (await trx("webhooks").where({ id }).first()) as WebhookRow;
  const columns = await nextSecret(trx, encryption, { table: "webhooks", id, organizationId }, { row, secret, now });
  await trx("webhooks")
    .where({ id })
    .update({ ...columns, version: version + 1, updated_at: isoOf(now) });
  return await getWebhook(trx, organizationId, id);
}

/** With every message that there is of it. */
export async function deleteWebhook(trx: Db, id: string): Promise<void> {
  await trx("webhooks").where({ id }).del();
  await trx("webhook_deliveries").where({ webhook_id: id }).del();
}

/** The active ones, by organisation; of these, or of all. */
export async function readTargets(db: Db, organizationIds?: readonly string[]): Promise<Map<string, WebhookTarget[]>> {
  const rows = await rowsOf<Pick<WebhookRow, "id" | "organization_id" | "events" | "device_ids">>(
    db,
    `select id, organization_id, events, device_ids from webhooks
     where is_active ${organizationIds ? `and organization_id in ${idsParameter(db)}` : ""} order by id`,
    organizationIds ? [toJson(organizationIds)] : [],
  );
  const found = new Map<string, WebhookTarget[]>();
  for (const row of rows) {
    const of = found.get(row.organization_id) ?? [];
    found.set(row.organization_id, of);
    of.push(targetOf(row));
  }
  return found;
}

/** What sending takes. */
export interface Sender {
  readonly id: string;
  readonly organizationId: string;
  readonly url: string;
  readonly secrets: readonly string[];
}

/** undefined when it is gone or switched off. Throws `UnreadableText`. */
export async function findSender(db: Db, encryption: Encryption, id: string, now: number): Promise<Sender | undefined> {
  const row = (await db("webhooks").where({ id }).whereRaw("is_active").first()) as WebhookRow | undefined;
  if (!row) return undefined;
  const { organization_id: organizationId, url } = row;
  return { id, organizationId, url, secrets: await openSecrets(db, encryption, { table: "webhooks", id, organizationId }, { row, now }) };
}

/** It got through. */
export async function noteSuccess(trx: Db, id: string): Promise<void> {
  await rowsOf(trx, "update webhooks set failure_count = 0, failing_since = null where id = ? and failure_count > 0", [id]);
}

/** It did not; gives since when, in ms since 1970. undefined when the webhook is gone. */
export async function noteFailure(trx: Db, id: string, now: number): Promise<number | undefined> {
  const [row] = await rowsOf<{ failing_since: string }>(
    trx,
    "update webhooks set failure_count = failure_count + 1, failing_since = coalesce(failing_since, ?) where id = ? returning failing_since",
    [isoOf(now), id],
  );
  return row && Date.parse(row.failing_since);
}

/** undefined when it was off, or gone. */
export async function disableWebhook(trx: Db, id: string, reason: DisabledReason, now: number): Promise<Webhook | undefined> {
  const [row] = await rowsOf<WebhookRow>(
    trx,
    `update webhooks set is_active = false, disabled_at = ?, disabled_reason = ?, version = version + 1, updated_at = ?
     where id = ? and is_active returning *`,
    [isoOf(now), reason, isoOf(now), id],
  );
  return row && webhookOf(row);
}

interface WebhookRow extends SecretColumns {
  id: string;
  organization_id: string;
  name: string;
  url: string;
  events: unknown;
  device_ids: unknown;
  is_active: boolean | number;
  failure_count: number;
  failing_since: string | null;
  disabled_at: string | null;
  disabled_reason: DisabledReason | null;
  dropped: number;
  last_dropped_at: string | null;
  overflowing_since: string | null;
  created_by: string;
  version: number;
  created_at: string;
  updated_at: string;
}

const columnsOf = ({ name, url, events, deviceIds, isActive }: WebhookFields) => ({
  name: storableText(name),
  url,
  events: toJson(events),
  device_ids: deviceIds === null ? null : toJson(deviceIds),
  is_active: isActive,
});

function requireWebhook(row: unknown): Webhook {
  if (row === undefined) throw new HubError("not_found", "there is no such webhook");
  return webhookOf(row as WebhookRow);
}

const targetOf = ({ id, events, device_ids: deviceIds }: Pick<WebhookRow, "id" | "events" | "device_ids">): WebhookTarget => ({
  id,
  events: fromJson(events) as string[],
  deviceIds: deviceIds === null ? null : (fromJson(deviceIds) as string[]),
});

function webhookOf(row: WebhookRow): Webhook {
  return {
    ...targetOf(row),
    organizationId: row.organization_id,
    name: row.name,
    url: row.url,
    isActive: Boolean(row.is_active),
    failureCount: row.failure_count,
    failingSince: row.failing_since,
    disabledAt: row.disabled_at,
    disabledReason: row.disabled_reason,
    formerSecretUntil: row.former_secret_until,
    dropped: row.dropped,
    lastDroppedAt: row.last_dropped_at,
    overflowingSince: row.overflowing_since,
    createdBy: row.created_by,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
