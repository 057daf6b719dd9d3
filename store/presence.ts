import type { DeviceRef } from "../core/bus.ts";
import type { Capabilities, Presence } from "../core/device.ts";
import type { Db } from "./open.ts";
import { inTransaction } from "./transaction.ts";
import { engineOf, fromJson, idsParameter, isoOf, rowSource, rowsOf, toJson } from "./sql.ts";

export interface Seen {
  readonly id: string;
  /** ms since 1970 */
  readonly at: number;
  readonly ip?: string | undefined;
  /** The credential of the session, when its use is worth noting. */
  readonly credentialId?: string | undefined;
}

/** Notes when devices last spoke; an older time never replaces a newer one. One statement for the whole batch. */
export async function recordSeen(db: Db, seen: readonly Seen[]): Promise<void> {
  if (seen.length === 0) return;
  const newest = new Map<string, Seen>();
  for (const one of seen) if ((newest.get(one.id)?.at ?? 0) <= one.at) newest.set(one.id, { ...newest.get(one.id), ...one });
  const rows = toJson(
    [...newest.values()].map(({ id, at, ip, credentialId }) => ({
      id,
      at: isoOf(at),
      ip: ip ?? null,
      credential_id: credentialId ?? null,
    })),
  );
  const source = rowSource(db, { id: "text", at: "time", ip: "text", credential_id: "text" });
  await inTransaction(db, async (trx) => {
    // In one order everywhere, or two nodes that heard of the same devices would lock each other out.
    if (engineOf(trx) === "postgres")
      await rowsOf(trx, `select d.id from devices d join ${source} on r.id = d.id order by d.id for no key update of d`, [rows]);
    await rowsOf(
      trx,
      `update devices set last_seen_at = r.at, last_ip = coalesce(r.ip, last_ip) from ${source} where devices.id = r.id and (devices.last_seen_at is null or devices.last_seen_at <= r.at)`,
      [rows],
    );
    if (!seen.some((one) => one.credentialId !== undefined)) return;
    await rowsOf(
      trx,
      `update device_credentials set last_used_at = r.at from ${source} where device_credentials.id = r.credential_id and device_credentials.device_id = r.id`,
      [rows],
    );
  });
}

/** `online` is also a sign of life; the other two are not. */
export async function setConnectionStatus(db: Db, id: string, status: Presence, at: number): Promise<void> {
  if (status !== "online") {
    await db("devices").where({ id }).update({ connection_status: status });
    return;
  }
  const seen = isoOf(at);
  await rowsOf(
    db,
    "update devices set connection_status = ?, last_seen_at = case when last_seen_at > ? then last_seen_at else ? end where id = ?",
    [status, seen, seen, id],
  );
}

/** What is noted of each of these devices, by id; held against other nodes until the transaction ends. Those that are gone are missing. */
export async function lockConnectionStatus(trx: Db, ids: readonly string[]): Promise<Map<string, Presence>> {
  // In one order everywhere, or two nodes that note the same devices would lock each other out.
  const lock = engineOf(trx) === "postgres" ? " order by id for no key update" : "";
  const rows = await rowsOf<{ id: string; status: Presence }>(
    trx,
    `select id, connection_status as status from devices where id in ${idsParameter(trx)}${lock}`,
    [toJson(ids)],
  );
  return new Map(rows.map(({ id, status }) => [id, status]));
}

/** The devices that are noted as connected. */
export async function listConnected(db: Db): Promise<DeviceRef[]> {
  return await rowsOf<DeviceRef>(
    db,
    `select id, uid, organization_id as "organizationId" from devices where connection_status <> 'offline' order by id`,
  );
}

/** By id. */
export async function capabilitiesOf(db: Db, ids: readonly string[]): Promise<Map<string, Capabilities>> {
  const rows = await rowsOf<{ id: string; capabilities: unknown }>(
    db,
    `select id, capabilities from devices where id in ${idsParameter(db)}`,
    [toJson(ids)],
  );
  return new Map(rows.map(({ id, capabilities }) => [id, fromJson(capabilities) as Capabilities]));
}
