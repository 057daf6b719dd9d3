import { createHash } from "node:crypto";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import type { HookScheme } from "../core/webhook.ts";
import type { Encryption } from "./encryption.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { isoOf, type Page, pageOf, rowsOf, storableText } from "./sql.ts";
import { firstSecret, nextSecret, openSecrets, type SecretColumns } from "./webhook-secrets.ts";

/** An address at which somebody outside tells an organisation something. */
export interface InboundHook {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly scheme: HookScheme;
  readonly isActive: boolean;
  /** Until then both secrets are right. */
  readonly formerSecretUntil: string | null;
  readonly createdBy: string;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export type InboundHookFields = Pick<InboundHook, "name" | "isActive">;

export const MAX_INBOUND_HOOKS = 50;

/** Throws `quota_exceeded`. */
export async function createHook(
  trx: Db,
  encryption: Encryption,
  fields: InboundHookFields & Pick<InboundHook, "organizationId" | "createdBy" | "scheme"> & { readonly secret: string },
  now: number,
): Promise<InboundHook> {
  const { organizationId, createdBy, scheme, secret, name, isActive } = fields;
  await lockOrganization(trx, organizationId);
  const found = (await hooks(trx).where({ organization_id: organizationId }).count({ count: "*" }).first()) as { count: number };
  if (found.count >= MAX_INBOUND_HOOKS)
    throw new HubError("quota_exceeded", `an organisation has at most ${MAX_INBOUND_HOOKS} inbound webhooks`, {
      details: { inbound_hooks: MAX_INBOUND_HOOKS },
    });
  const id = newId();
  await hooks(trx).insert({
    id,
    organization_id: organizationId,
    name: storableText(name),
    scheme,
    is_active: isActive,
    created_by: createdBy,
    version: 1,
    created_at: isoOf(now),
    updated_at: isoOf(now),
    ...(await firstSecret(trx, encryption, { table: "inbound_hooks", id, organizationId }, secret)),
  });
  return await getHook(trx, organizationId, id);
}

/** Throws `not_found`. */
export async function getHook(db: Db, organizationId: string, id: string): Promise<InboundHook> {
  return requireHook(await hooks(db).where({ id, organization_id: organizationId }).first());
}

/** As it is until the transaction ends. Throws `not_found`. */
export async function lockHook(trx: Db, organizationId: string, id: string): Promise<InboundHook> {
  return requireHook(await hooks(trx).where({ id, organization_id: organizationId }).forUpdate().first());
}

/** In the order in which they were made. */
export async function listHooks(
  db: Db,
  organizationId: string,
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
): Promise<Page<InboundHook>> {
  const query = hooks(db)
    .where({ organization_id: organizationId })
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  return pageOf(((await query) as HookRow[]).map(hookOf), limit, ({ id }) => id);
}

/** It has to be locked. */
export async function updateHook(trx: Db, before: InboundHook, { name, isActive }: InboundHookFields, now: number): Promise<InboundHook> {
  await hooks(trx)
    .where({ id: before.id })
    .update({ name: storableText(name), is_active: isActive, version: before.version + 1, updated_at: isoOf(now) });
  return await getHook(trx, before.organizationId, before.id);
}

/** It has to be locked. */
export async function rotateHookSecret(
  trx: Db,
  encryption: Encryption,
  { id, organizationId, version }: InboundHook,
  { secret, now }: { readonly secret: string; readonly now: number },
): Promise<InboundHook> {
  const row = (await hooks(trx).where({ id }).first()) as HookRow;
  const columns = await nextSecret(trx, encryption, { table: "inbound_hooks", id, organizationId }, { row, secret, now });
  await hooks(trx)
    .where({ id })
    .update({ ...columns, version: version + 1, updated_at: isoOf(now) });
  return await getHook(trx, organizationId, id);
}

export async function deleteHook(trx: Db, id: string): Promise<void> {
  await hooks(trx).where({ id }).del();
}

/** The hook that is called, whoever's it is, with the secrets that are right now; undefined when it is off too. */
export async function findCalledHook(
  db: Db,
  encryption: Encryption,
  id: string,
  now: number,
): Promise<{ readonly hook: InboundHook; readonly secrets: readonly string[] } | undefined> {
  const row = (await hooks(db).where({ id }).whereRaw("is_active").first()) as HookRow | undefined;
  if (!row) return undefined;
  const owner = { table: "inbound_hooks", id, organizationId: row.organization_id } as const;
  return { hook: hookOf(row), secrets: await openSecrets(db, encryption, owner, { row, now }) };
}

/** It stays as it is until the transaction ends. False when it is gone, or off. */
export async function holdHook(trx: Db, id: string): Promise<boolean> {
  return (await hooks(trx).where({ id }).whereRaw("is_active").forShare().first("id")) !== undefined;
}

/** False when the hook has had a message of this id already. */
export async function noteHookMessage(trx: Db, hookId: string, messageId: string, now: number): Promise<boolean> {
  const hash = createHash("sha256").update(messageId).digest("base64url");
  const noted = await rowsOf(
    trx,
    "insert into inbound_hook_messages (hook_id, message_hash, received_at) values (?, ?, ?) on conflict do nothing returning hook_id",
    [hookId, hash, isoOf(now)],
  );
  return noted.length > 0;
}

/** A sender that had no answer signs the same message anew for some time; what is replayed as it is, is too old after minutes. */
const KEPT_MS = 86_400_000;

export async function purgeHookMessages(db: Db, now: number): Promise<number> {
  return await db("inbound_hook_messages")
    .where("received_at", "<=", isoOf(now - KEPT_MS))
    .del();
}

interface HookRow extends SecretColumns {
  id: string;
  organization_id: string;
  name: string;
  scheme: HookScheme;
  is_active: boolean | number;
  created_by: string;
  version: number;
  created_at: string;
  updated_at: string;
}

function hooks(db: Db) {
  return db("inbound_hooks");
}

function requireHook(row: unknown): InboundHook {
  if (row === undefined) throw new HubError("not_found", "there is no such inbound webhook");
  return hookOf(row as HookRow);
}

function hookOf(row: HookRow): InboundHook {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    scheme: row.scheme,
    isActive: Boolean(row.is_active),
    formerSecretUntil: row.former_secret_until,
    createdBy: row.created_by,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
