import { createHmac } from "node:crypto";
import { HubError } from "../core/errors.ts";
import { isForeignKeyViolation } from "./database-errors.ts";
import type { Db } from "./open.ts";
import type { Passwords } from "./passwords.ts";
import { derivedKey, type SigningKey, type SigningKeys } from "./secrets.ts";
import { isoOf, rowsOf } from "./sql.ts";

export interface PinContext {
  readonly db: Db;
  readonly passwords: Pick<Passwords, "hash" | "verify" | "spendTime">;
  readonly keys: SigningKeys;
  /** ms since 1970 */
  readonly clock: () => number;
}

export const PIN_TRIES = 5;
export const PIN_LOCK_MS = 900_000;
const PURPOSE = "approval pin";

/**
 * What is kept of a PIN: bcrypt of its HMAC, since whoever has the database alone would try all PINs within the hour. It begins with the
 * name of the key.
 */
export async function hashPin({ passwords, keys }: Pick<PinContext, "passwords" | "keys">, userId: string, pin: string): Promise<string> {
  const key = keys.active("token_hmac");
  return `${key.kid} ${await passwords.hash(seasoned(key, userId, pin))}`;
}

/** Wrong tries are forgotten: whoever sets it has shown the password. */
export async function setPin(trx: Db, userId: string, pinHash: string, now: number): Promise<void> {
  const row = { pin_hash: pinHash, failures: 0, failed_at: isoOf(now) };
  await trx("approval_pins")
    .insert({ user_id: userId, ...row })
    .onConflict("user_id")
    .merge(row);
}

/** False when there was none. */
export async function removePin(trx: Db, userId: string): Promise<boolean> {
  return (await trx("approval_pins").where({ user_id: userId }).whereNotNull("pin_hash").update({ pin_hash: null })) > 0;
}

/**
 * Throws `pin_wrong`, also for whoever has none and after as long a time, and `pin_locked` once five tries in a row were wrong, for 15
 * minutes. A try counts before the PIN is looked at and stands whatever becomes of the caller, so this is no part of a transaction.
 */
export async function checkPin(context: PinContext, userId: string, pin: string): Promise<void> {
  const { db, clock } = context;
  if (db.isTransaction) throw new Error("a try of a PIN must not be rolled back");
  const { pinHash, failures } = await beginTry(db, userId, clock());
  const isRight = await verify(context, { userId, pin, pinHash }).catch(async (error: unknown) => {
    // It was not looked at.
    await rowsOf(db, "update approval_pins set failures = failures - 1 where user_id = ? and failures > 0", [userId]);
    throw error;
  });
  // Whoever changes the PIN at the same time has the last word.
  if (!isRight || !(await forgetTries(db, userId, pinHash)))
    throw new HubError("pin_wrong", "the PIN is wrong, or you have set none", { details: { tries_left: PIN_TRIES - failures } });
}

/** Of tries at once no more than five come through. */
async function beginTry(db: Db, userId: string, now: number): Promise<{ readonly pinHash: string | null; readonly failures: number }> {
  const rows = await rowsOf<{ pin_hash: string | null; failures: number }>(
    db,
    `insert into approval_pins (user_id, failures, failed_at) values (?, 1, ?)
     on conflict (user_id) do update set failed_at = excluded.failed_at,
       failures = case when approval_pins.failures >= ${PIN_TRIES} then 1 else approval_pins.failures + 1 end
     where approval_pins.failures < ${PIN_TRIES} or approval_pins.failed_at <= ?
     returning pin_hash, failures`,
    [userId, isoOf(now), isoOf(now - PIN_LOCK_MS)],
  ).catch((error: unknown) => {
    throw isForeignKeyViolation(error) ? new HubError("unauthorized", "the account is gone", { cause: error }) : error;
  });
  const [row] = rows;
  if (!row)
    throw new HubError("pin_locked", "too many wrong PINs: try again later, or set another one with your password", {
      details: { retry_after_s: await lockedFor(db, userId, now) },
    });
  return { pinHash: row.pin_hash, failures: row.failures };
}

async function lockedFor(db: Db, userId: string, now: number): Promise<number> {
  const row = (await db("approval_pins").where({ user_id: userId }).first("failed_at")) as { failed_at: string } | undefined;
  return row ? Math.max(1, Math.ceil((Date.parse(row.failed_at) + PIN_LOCK_MS - now) / 1_000)) : 1;
}

async function verify(
  { passwords, keys }: PinContext,
  { userId, pin, pinHash }: { readonly userId: string; readonly pin: string; readonly pinHash: string | null },
): Promise<boolean> {
  const [kid = "", hash = ""] = pinHash?.split(" ") ?? [];
  const key = keys.find("token_hmac", kid);
  if (key) return await passwords.verify(seasoned(key, userId, pin), hash);
  await passwords.spendTime();
  return false;
}

async function forgetTries(db: Db, userId: string, pinHash: string | null): Promise<boolean> {
  return (await db("approval_pins").where({ user_id: userId, pin_hash: pinHash }).update({ failures: 0 })) > 0;
}

/** Of two people with one PIN not the same. */
function seasoned(key: SigningKey, userId: string, pin: string): string {
  return createHmac("sha256", derivedKey(key, PURPOSE)).update(`${userId} ${pin}`).digest("base64");
}
