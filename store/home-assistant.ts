import { revokeAccessToken } from "./access-tokens.ts";
import type { Db } from "./open.ts";
import { fromJson, isoOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** One message a device, or one for each thing that it has. */
export type HomeAssistantForm = "device" | "component";

/** An organisation's account for its Home Assistant. */
export interface HomeAssistantAccount {
  readonly organizationId: string;
  /** What it logs in with; null when that was revoked and is forgotten. */
  readonly accessTokenId: string | null;
  readonly form: HomeAssistantForm;
  /** What Home Assistant said last of itself; null when it was never there. */
  readonly status: "online" | "offline" | null;
  /** ms since 1970 */
  readonly statusAt: number | null;
  /** It is about to be removed. */
  readonly isUnlinked: boolean;
}

/** The hub's own broker, or the one that it connects to. */
export type DiscoveryBroker = "own" | "remote";

/** What a topic of a broker was told last, or was about to be. */
export interface PublishedDiscovery {
  readonly topic: string;
  readonly organizationId: string;
  readonly uid: string;
  readonly form: HomeAssistantForm;
  /** The platforms by their keys; of what was about to be told too. */
  readonly components: Readonly<Record<string, string>>;
  /** Of the payload; null while nobody knows whether the broker has it. */
  readonly digest: string | null;
}

export async function findHomeAssistantAccount(db: Db, organizationId: string): Promise<HomeAssistantAccount | undefined> {
  const row = (await db("home_assistant_accounts").where({ organization_id: organizationId }).first()) as AccountRow | undefined;
  return row && accountOf(row);
}

/** Of all organisations. */
export async function readHomeAssistantAccounts(db: Db): Promise<HomeAssistantAccount[]> {
  return ((await db("home_assistant_accounts").orderBy("organization_id")) as AccountRow[]).map(accountOf);
}

/** It is there from now on, whatever it was before. */
export async function putHomeAssistantAccount(
  trx: Db,
  { organizationId, accessTokenId, form }: Pick<HomeAssistantAccount, "organizationId" | "accessTokenId" | "form">,
  now: number,
): Promise<void> {
  const at = isoOf(now);
  await trx("home_assistant_accounts")
    .insert({ organization_id: organizationId, access_token_id: accessTokenId, form, created_at: at, updated_at: at, unlinked_at: null })
    .onConflict("organization_id")
    .merge(["access_token_id", "form", "updated_at", "unlinked_at"]);
}

/** Home Assistant came or went. */
/** False where there is no account. */
export async function noteHomeAssistantStatus(db: Db, organizationId: string, status: "online" | "offline", now: number): Promise<boolean> {
  const account = db("home_assistant_accounts").where({ organization_id: organizationId });
  return (await account.update({ status, status_at: isoOf(now) })) > 0;
}

/** What it was told is to be taken back, and the account with it. False where there is none. */
export async function unlinkHomeAssistant(db: Db, organizationId: string, now: number): Promise<boolean> {
  return (
    (await db("home_assistant_accounts")
      .where({ organization_id: organizationId })
      .update({ unlinked_at: isoOf(now) })) > 0
  );
}

/** The account is gone with what it logs in with, unless it was made again meanwhile. Gives what ended. */
export async function removeUnlinkedAccount(db: Db, organizationId: string, now: number): Promise<string | undefined> {
  return await inTransaction(db, async (trx) => {
    const row = (await trx("home_assistant_accounts")
      .where({ organization_id: organizationId })
      .whereNotNull("unlinked_at")
      .forUpdate()
      .first()) as AccountRow | undefined;
    if (!row) return undefined;
    await trx("home_assistant_accounts").where({ organization_id: organizationId }).delete();
    await removeGhosts(trx, "own", organizationId);
    const id = row.access_token_id;
    if (id !== null) await revokeAccessToken(trx, { kind: "organization", organizationId }, id, now);
    return id ?? undefined;
  });
}

/** All that a broker was told, by its topics. */
export async function readDiscoveries(db: Db, broker: DiscoveryBroker): Promise<Map<string, PublishedDiscovery>> {
  const rows = (await db("home_assistant_discoveries").where({ broker })) as DiscoveryRow[];
  return new Map(rows.map((row) => [row.topic, discoveryOf(row)]));
}

/** The broker is to be told all of it again. */
export async function forgetDigests(db: Db, broker: DiscoveryBroker, organizationId: string): Promise<void> {
  await db("home_assistant_discoveries").where({ broker, organization_id: organizationId }).update({ digest: null });
}

export async function countDiscoveries(
  db: Db,
  broker: DiscoveryBroker,
  organizationId: string,
): Promise<{ readonly devices: number; readonly messages: number }> {
  return (await db("home_assistant_discoveries")
    .where({ broker, organization_id: organizationId })
    .countDistinct({ devices: "uid" })
    .count({ messages: "*" })
    .first()) as { devices: number; messages: number };
}

export interface DiscoveryChanges {
  readonly put: readonly PublishedDiscovery[];
  readonly deleted: readonly string[];
  readonly ghosts?: readonly HomeAssistantGhost[];
}

/** A component that a Home Assistant which was away still has. */
export interface HomeAssistantGhost extends Pick<PublishedDiscovery, "topic" | "organizationId" | "uid" | "form"> {
  readonly key: string;
  readonly platform: string;
}

/** Of an organisation; the oldest go first. */
const MOST_GHOSTS = 5_000;
/** Whoever was there for so long after it was told has heard it: an MQTT client that is gone is noticed by then. */
const HEARD_AFTER_MS = 180_000;

export async function readGhosts(db: Db, broker: DiscoveryBroker, organizationId: string): Promise<HomeAssistantGhost[]> {
  const rows = (await db("home_assistant_ghosts").where({ broker, organization_id: organizationId })) as GhostRow[];
  return rows.map(({ topic, uid, form, component_key: key, platform }) => ({ topic, organizationId, uid, form, key, platform }));
}

export async function removeGhosts(db: Db, broker: DiscoveryBroker, organizationId: string): Promise<void> {
  await db("home_assistant_ghosts").where({ broker, organization_id: organizationId }).delete();
}

/** Of those whose Home Assistant was there all the time since. */
export async function forgetHeardGhosts(db: Db, now: number): Promise<void> {
  const there = db("home_assistant_accounts as a")
    .where("a.status", "online")
    .whereRaw("a.organization_id = home_assistant_ghosts.organization_id")
    .whereRaw("a.status_at < home_assistant_ghosts.gone_at");
  await db("home_assistant_ghosts")
    .where({ broker: "own" })
    .where("gone_at", "<", isoOf(now - HEARD_AFTER_MS))
    .whereExists(there)
    .delete();
}

async function putGhosts(trx: Db, broker: DiscoveryBroker, ghosts: readonly HomeAssistantGhost[], now: number): Promise<void> {
  for (let at = 0; at < ghosts.length; at += CHUNK)
    await trx("home_assistant_ghosts")
      .insert(
        ghosts.slice(at, at + CHUNK).map(({ topic, organizationId, uid, form, key, platform }): GhostRow => {
          return { broker, topic, component_key: key, organization_id: organizationId, uid, form, platform, gone_at: isoOf(now) };
        }),
      )
      .onConflict(["broker", "topic", "component_key"])
      .merge();
  for (const organization_id of new Set(ghosts.map((one) => one.organizationId))) {
    const first = trx("home_assistant_ghosts").where({ broker, organization_id }).orderBy("gone_at", "desc").offset(MOST_GHOSTS).limit(1);
    const [oldest] = (await first.select("gone_at")) as Pick<GhostRow, "gone_at">[];
    if (oldest) await trx("home_assistant_ghosts").where({ broker, organization_id }).where("gone_at", "<=", oldest.gone_at).delete();
  }
}

interface GhostRow {
  broker: DiscoveryBroker;
  topic: string;
  component_key: string;
  organization_id: string;
  uid: string;
  form: HomeAssistantForm;
  platform: string;
  gone_at: string;
}

/** Rows a statement: seven values each, and SQLite takes no more than some thousands. */
const CHUNK = 100;

export async function saveDiscoveries(
  db: Db,
  broker: DiscoveryBroker,
  { put, deleted, ghosts = [] }: DiscoveryChanges,
  now: number,
): Promise<void> {
  if (put.length === 0 && deleted.length === 0) return;
  await inTransaction(db, async (trx) => {
    await putGhosts(trx, broker, ghosts, now);
    for (let at = 0; at < put.length; at += CHUNK)
      await trx("home_assistant_discoveries")
        .insert(put.slice(at, at + CHUNK).map((one) => rowOf(broker, one)))
        .onConflict(["broker", "topic"])
        .merge();
    for (let at = 0; at < deleted.length; at += CHUNK)
      await trx("home_assistant_discoveries")
        .where({ broker })
        .whereIn("topic", deleted.slice(at, at + CHUNK))
        .delete();
  });
}

interface AccountRow {
  organization_id: string;
  access_token_id: string | null;
  form: HomeAssistantForm;
  status: "online" | "offline" | null;
  status_at: string | null;
  unlinked_at: string | null;
}

interface DiscoveryRow {
  broker: DiscoveryBroker;
  topic: string;
  organization_id: string;
  uid: string;
  form: HomeAssistantForm;
  components: unknown;
  digest: string | null;
}

const accountOf = (row: AccountRow): HomeAssistantAccount => ({
  organizationId: row.organization_id,
  accessTokenId: row.access_token_id,
  form: row.form,
  status: row.status,
  statusAt: row.status_at === null ? null : Date.parse(row.status_at),
  isUnlinked: row.unlinked_at !== null,
});

const discoveryOf = ({ topic, organization_id, uid, form, components, digest }: DiscoveryRow): PublishedDiscovery => ({
  topic,
  organizationId: organization_id,
  uid,
  form,
  components: fromJson(components) as Record<string, string>,
  digest,
});

const rowOf = (broker: DiscoveryBroker, { topic, organizationId, uid, form, components, digest }: PublishedDiscovery): DiscoveryRow => ({
  broker,
  topic,
  organization_id: organizationId,
  uid,
  form,
  components: toJson(components),
  digest,
});
