import type { Bus, Log } from "../core/bus.ts";
import { DAY_MS, HOUR_MS } from "../core/durations.ts";
import { HubError } from "../core/errors.ts";
import { newAudit } from "../core/event.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { newId } from "../core/id.ts";
import { SYSTEM } from "../core/principal.ts";
import { type KeyPurpose, type KeyRecord, type KeyRules, planKeys } from "../core/signing-key.ts";
import { insertAudit } from "./audit.ts";
import { shareChanges } from "./changed-rows.ts";
import type { Db } from "./open.ts";
import { type HubSigningKeys, newSealedKey } from "./secrets.ts";
import { engineOf, isoOf, rowsOf, toJson } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/** Of one purpose: each token that is no JWT is hashed with all of them. */
const MAX_KEYS = 20;
const RETRY_MS = 1_000;

/** How long the steps of a rotation take. */
export interface RotationPace {
  /** From a key's making until it signs: by then every node has read it, however late its clock is or little it heard. */
  readonly waitMs: number;
  /** How often each node reads the keys that heard of no change. */
  readonly rereadMs: number;
  readonly keptMs: KeyRules["keptMs"];
}

const PACE: RotationPace = {
  waitMs: 60_000,
  rereadMs: 30_000,
  keptMs: {
    // An access token lives 30 days at most, as does the cookie of a browser that is remembered.
    user_jwt: 30 * DAY_MS + HOUR_MS,
    // And as long as a device has a JWT of it that has not ended.
    device_jwt: HOUR_MS,
    // A hash does not say whose it is: a token without an end would end with the key.
    token_hmac: undefined,
  },
};

export interface KeyRotationContext {
  readonly db: Db;
  readonly masterKey: Buffer;
  readonly keys: HubSigningKeys;
  /** ms since 1970 */
  readonly clock: () => number;
  /** See core/settings.ts; 0: never. */
  readonly rotateAfterMs: number;
  readonly pace?: Partial<RotationPace> | undefined;
}

export interface KeyRotation {
  /** Oldest first, those of the database; never a secret. */
  list(db: Db): Promise<KeyRecord[]>;
  /**
   * Makes the next key, which signs when every node knows it. `changed` has to follow the commit. Throws `conflict` while
   * another one is on its way, where a configured secret signs, and when there are as many as there may be.
   */
  rotate(trx: Db, purpose: KeyPurpose): Promise<KeyRecord>;
  /** Resolves when what was committed is known here; other nodes hear of it. */
  changed(): Promise<void>;
  /** What time makes due: the next key of people's tokens, and the end of those that nothing depends on. */
  maintain(): Promise<void>;
  /** From now on this node and the others tell each other of new keys. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

export function createKeyRotation({ db, masterKey, keys, clock, rotateAfterMs, pace }: KeyRotationContext): KeyRotation {
  const { waitMs, rereadMs, keptMs } = { ...PACE, ...pace };
  let announce = (): void => {};

  async function rotate(trx: Db, purpose: KeyPurpose): Promise<KeyRecord> {
    if (keys.isFixed(purpose))
      throw new HubError("conflict", "JWT_SECRET says what signs these: change it in the settings, and start the hub again");
    const now = clock();
    const next = { kid: newId(), purpose, createdAt: now, activatesAt: now + waitMs, retiredAt: null };
    await retireNewest(trx, purpose, { now, at: next.activatesAt });
    await trx("signing_keys").insert({
      kid: next.kid,
      purpose,
      secret_sealed: newSealedKey(masterKey),
      created_at: isoOf(next.createdAt),
      activates_at: isoOf(next.activatesAt),
    });
    return next;
  }

  async function changed(): Promise<void> {
    announce();
    await keys.reload();
  }

  /** By itself, so the audit says that nobody asked. */
  async function change(action: string, keysOf: (trx: Db) => Promise<readonly KeyRecord[]>): Promise<void> {
    await inTransaction(db, async (trx) => {
      const about = { organizationId: null, actor: SYSTEM, action, resourceType: "signing_key", now: clock() };
      const entries = (await keysOf(trx)).map(({ kid, purpose }) => newAudit({ ...about, resourceId: kid, details: { purpose } }));
      await insertAudit(trx, entries);
    });
  }

  return {
    list: listKeys,
    rotate,
    changed,
    async maintain() {
      // A node that is alone reads them nowhere else, should it have failed to after a change.
      await keys.reload();
      const now = clock();
      const records = await listKeys(db);
      const rules = { rotateAfterMs: keys.isFixed("user_jwt") ? 0 : rotateAfterMs, keptMs, inUse: await keysInUse(db, records, now) };
      const { rotate: due, remove } = planKeys(records, now, rules);
      if (remove.length > 0) await change("signing_key.remove", (trx) => removeKeys(trx, remove));
      for (const purpose of due) await change("signing_key.rotate", async (trx) => [await rotate(trx, purpose)]);
      if (due.length > 0 || remove.length > 0) await changed();
    },
    share({ bus, log }) {
      const following = followKeys({ keys, rereadMs, log });
      const sharing = shareChanges({ note: () => following.reload() }, { bus, log, topic: HUB_TOPICS.signingKeys });
      announce = () => sharing.announce("all");
      return {
        reload: () => following.reload(),
        [Symbol.dispose]() {
          sharing[Symbol.dispose]();
          following[Symbol.dispose]();
        },
      };
    },
  };
}

/** Reads the keys again and again, sooner after a failure: whatever a node did not hear of, it knows before it matters. */
function followKeys({ keys, rereadMs, log }: Pick<KeyRotationContext, "keys"> & Pick<RotationPace, "rereadMs"> & { readonly log: Log }) {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  function again(ms: number): void {
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(reload, ms).unref();
  }
  function reload(): void {
    keys.reload().then(
      () => again(rereadMs),
      (error: unknown) => {
        log.error({ err: error }, "the signing keys could not be read; it is tried again");
        again(RETRY_MS);
      },
    );
  }
  again(rereadMs);
  return {
    reload,
    [Symbol.dispose]() {
      isOver = true;
      clearTimeout(timer);
    },
  };
}

async function listKeys(db: Db): Promise<KeyRecord[]> {
  const rows = await rowsOf<{ kid: string; purpose: KeyPurpose; created_at: string; activates_at: string; retired_at: string | null }>(
    db,
    "select kid, purpose, created_at, activates_at, retired_at from signing_keys order by activates_at, kid",
  );
  return rows.map(({ kid, purpose, created_at, activates_at, retired_at }) => ({
    kid,
    purpose,
    createdAt: Date.parse(created_at),
    activatesAt: Date.parse(activates_at),
    retiredAt: retired_at === null ? null : Date.parse(retired_at),
  }));
}

/** Its row is what two that rotate at once wait for: the second one finds it retired. Throws `conflict`. */
async function retireNewest(trx: Db, purpose: KeyPurpose, { now, at }: { readonly now: number; readonly at: number }): Promise<void> {
  const retired = await rowsOf(
    trx,
    "update signing_keys set retired_at = ? where purpose = ? and retired_at is null and activates_at <= ? returning kid",
    [isoOf(at), purpose, isoOf(now)],
  );
  const all = (await listKeys(trx)).filter((key) => key.purpose === purpose);
  const next = all.findLast(({ retiredAt }) => retiredAt === null);
  if (retired.length === 0)
    throw new HubError("conflict", "the next key is on its way: wait until it signs", {
      details: next && { kid: next.kid, activates_at: isoOf(next.activatesAt) },
    });
  if (all.length >= MAX_KEYS)
    throw new HubError("conflict", `there are ${MAX_KEYS} keys that may still be needed, and no more are made`, {
      details: { keys: all.length },
    });
}

async function removeKeys(trx: Db, keys: readonly KeyRecord[]): Promise<readonly KeyRecord[]> {
  const gone = await rowsOf<{ kid: string }>(
    trx,
    `delete from signing_keys where retired_at is not null and kid in (${kidsIn(trx)}) returning kid`,
    [toJson(keys.map(({ kid }) => kid))],
  );
  return keys.filter((key) => gone.some(({ kid }) => kid === key.kid));
}

/** Those of the JWTs of devices that have not ended. */
async function keysInUse(db: Db, records: readonly KeyRecord[], now: number): Promise<Set<string>> {
  const retired = records.filter(({ purpose, retiredAt }) => purpose === "device_jwt" && retiredAt !== null);
  if (retired.length === 0) return new Set();
  const rows = await rowsOf<{ kid: string }>(
    db,
    `select distinct kid from device_credentials where kind = 'jwt' and revoked_at is null and expires_at > ? and kid in (${kidsIn(db)})`,
    [isoOf(now), toJson(retired.map(({ kid }) => kid))],
  );
  return new Set(rows.map(({ kid }) => kid));
}

const kidsIn = (db: Db): string =>
  engineOf(db) === "postgres" ? "select jsonb_array_elements_text(?::jsonb)" : "select value from json_each(?)";
