import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { chmod, link, open as openFile, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { SetupError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { KEY_PURPOSES, type KeyPurpose, signingKeyAt } from "../core/signing-key.ts";
import type { Db } from "./open.ts";
import { isoOf, rowsOf } from "./sql.ts";

const KEY_BYTES = 32;

/**
 * The key that seals every secret in the database: `configured` as base64 or hex of 32 bytes, else `<dataDir>/master.key`,
 * which is made when it is missing. Throws {@link SetupError} when it is not 32 bytes.
 */
export async function loadMasterKey(dataDir: string, configured?: string): Promise<Buffer> {
  if (configured !== undefined) return parseKey(configured, "the configured master key");
  const path = join(dataDir, "master.key");
  const existing = await readIfThere(path);
  if (existing !== undefined) return parseKey(existing, path);
  await createKeyFile(path);
  return parseKey(await readFile(path, "utf8"), path);
}

/**
 * `v1.<key id>.<nonce>.<tag>.<text>`, AES-256-GCM; the first two parts are authenticated too, and `place`, where it is kept:
 * what is moved elsewhere does not open.
 */
export function seal(key: Buffer, plain: Buffer, place = ""): string {
  const header = `v1.${keyId(key)}`;
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(header + place));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return [header, ...[nonce, cipher.getAuthTag(), text].map((part) => part.toString("base64url"))].join(".");
}

/** Throws when `sealed` was sealed with another key or for another place, or was changed. */
export function open(key: Buffer, sealed: string, place = ""): Buffer {
  const [version, kid, nonce, tag, text] = sealed.split(".");
  if (version !== "v1" || !nonce || !tag || text === undefined) throw new Error("a sealed secret has an unknown form");
  if (kid !== keyId(key)) throw new Error(`a secret was sealed with the master key ${kid}, this one is ${keyId(key)}`);
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64url"), { authTagLength: 16 })
    .setAAD(Buffer.from(`${version}.${kid}${place}`))
    .setAuthTag(Buffer.from(tag, "base64url"));
  return Buffer.concat([decipher.update(Buffer.from(text, "base64url")), decipher.final()]);
}

export interface SigningKey {
  readonly kid: string;
  readonly secret: Buffer;
}

export interface SigningKeys {
  /** The key that signs now. */
  active(purpose: KeyPurpose): SigningKey;
  /** Any key of that purpose that may verify, one that will sign too. */
  find(purpose: KeyPurpose, kid: string): SigningKey | undefined;
  /** The active key first. */
  all(purpose: KeyPurpose): SigningKey[];
  /** Another node may have made a key that is not known here: reads them again, unless that was done within the last second. */
  learn(): Promise<void>;
}

export interface HubSigningKeys extends SigningKeys {
  /** Resolves when what the database has by now is known here. */
  reload(): Promise<void>;
  /** A configured secret signs, and not a key of the database. */
  isFixed(purpose: KeyPurpose): boolean;
}

export interface SigningKeyOptions {
  /** At least 32 characters; see {@link loadSigningKeys}. */
  readonly jwtSecret?: string | undefined;
  /** ms since 1970 */
  readonly clock?: () => number;
}

/** Whoever sends made-up key ids causes so many reads. */
const LEARN_EVERY_MS = 1_000;

interface HeldKey extends SigningKey {
  readonly purpose: KeyPurpose;
  readonly activatesAt: number;
}

/**
 * The signing keys of the database, made on first use; two processes that start at once get the same ones.
 * `jwtSecret` signs users' tokens as it is and devices' tokens in a derived form; what the database's keys signed still verifies.
 * Throws {@link SetupError} when the master key does not open them.
 */
export async function loadSigningKeys(
  db: Db,
  masterKey: Buffer,
  { jwtSecret, clock = Date.now }: SigningKeyOptions = {},
): Promise<HubSigningKeys> {
  const fixed = new Map(jwtSecret === undefined ? [] : fixedKeys(jwtSecret));
  let held: ReadonlyMap<string, HeldKey> = new Map();
  const { reload, learn } = readsInTurn(async () => {
    held = await readKeys(db, masterKey, held);
  });

  function* ofPurpose(purpose: KeyPurpose): Iterable<HeldKey> {
    for (const key of held.values()) if (key.purpose === purpose) yield key;
  }
  function active(purpose: KeyPurpose): SigningKey {
    const key = fixed.get(purpose) ?? signingKeyAt(ofPurpose(purpose), clock());
    if (!key) throw new Error(`there is no signing key for ${purpose}`);
    return key;
  }

  await makeMissing(db, masterKey, clock());
  await reload();
  return {
    active,
    find(purpose, kid) {
      const own = fixed.get(purpose);
      if (own?.kid === kid) return own;
      const key = held.get(kid);
      return key?.purpose === purpose ? key : undefined;
    },
    all(purpose) {
      const first = active(purpose);
      return [first, ...[...ofPurpose(purpose)].filter((key) => key !== first)];
    },
    learn,
    reload,
    isFixed: (purpose) => fixed.has(purpose),
  };
}

/** One read after the other, and none for whoever asks while one that began late enough is on its way. */
function readsInTurn(read: () => Promise<void>): Pick<HubSigningKeys, "reload" | "learn"> {
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  let following: Promise<void> | undefined;
  let learning: Promise<void> | undefined;

  function readNow(): Promise<void> {
    readAt = performance.now();
    reading = read().finally(() => {
      reading = undefined;
    });
    return reading;
  }
  function reload(): Promise<void> {
    if (!reading) return readNow();
    // That one may have seen the rows as they were before.
    following ??= reading
      .catch(() => undefined)
      .then(() => {
        following = undefined;
        return readNow();
      });
    return following;
  }
  return {
    reload,
    async learn() {
      if (!learning && performance.now() - readAt < LEARN_EVERY_MS) return await reading;
      learning ??= reload().finally(() => {
        learning = undefined;
      });
      await learning;
    },
  };
}

/** One of each purpose has no end. */
async function makeMissing(db: Db, masterKey: Buffer, now: number): Promise<void> {
  for (const purpose of KEY_PURPOSES) {
    const at = isoOf(now);
    await rowsOf(
      db,
      `insert into signing_keys (kid, purpose, secret_sealed, created_at, activates_at) select ?, ?, ?, ?, ?
       where not exists (select 1 from signing_keys where purpose = ? and retired_at is null) on conflict do nothing`,
      [newId(), purpose, newSealedKey(masterKey), at, at, purpose],
    );
  }
}

/** The secret of a signing key, as it is kept. */
export const newSealedKey = (masterKey: Buffer): string => seal(masterKey, randomBytes(KEY_BYTES));

/** Those that were known stay the same objects. */
async function readKeys(db: Db, masterKey: Buffer, known: ReadonlyMap<string, HeldKey>): Promise<Map<string, HeldKey>> {
  const rows = await rowsOf<{ kid: string; purpose: KeyPurpose; secret_sealed: string; activates_at: string }>(
    db,
    "select kid, purpose, secret_sealed, activates_at from signing_keys order by activates_at, kid",
  );
  return new Map(
    rows.map(({ kid, purpose, secret_sealed, activates_at }) => [
      kid,
      known.get(kid) ?? { kid, purpose, secret: openStored(masterKey, secret_sealed), activatesAt: Date.parse(activates_at) },
    ]),
  );
}

/** What `look` finds with the keys that are known, or with those of another node that were not. */
export async function withKeys<T>(
  keys: SigningKeys,
  purpose: KeyPurpose,
  look: (known: readonly SigningKey[]) => Promise<T | undefined>,
): Promise<T | undefined> {
  const known = keys.all(purpose);
  const found = await look(known);
  if (found !== undefined) return found;
  await keys.learn();
  const more = keys.all(purpose);
  return more.every((key) => known.includes(key)) ? undefined : await look(more);
}

/** HMAC-SHA-256 in hex: how random tokens are kept. They have 256 bits, so a slow hash would add nothing. */
export function tokenHash(key: SigningKey, token: string): string {
  return createHmac("sha256", key.secret).update(token).digest("hex");
}

/** A key of its own for each purpose, from one that signs. */
export function derivedKey({ secret }: Pick<SigningKey, "secret">, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, Buffer.alloc(0), `hexahub ${purpose}`, 32));
}

/** For text that stands in the database for a while: tokens in answers and mails must not be read from a stolen file. */
export function sealText(keys: SigningKeys, purpose: string, text: string): string {
  const key = keys.active("token_hmac");
  return `${key.kid} ${seal(derivedKey(key, purpose), Buffer.from(text))}`;
}

/** undefined when its key is no longer there. Throws when it was changed. */
export function openText(keys: SigningKeys, purpose: string, sealed: string): string | undefined {
  const space = sealed.indexOf(" ");
  const key = keys.find("token_hmac", sealed.slice(0, space));
  return key && open(derivedKey(key, purpose), sealed.slice(space + 1)).toString();
}

function fixedKeys(jwtSecret: string): [KeyPurpose, SigningKey][] {
  if (jwtSecret.length < 32)
    throw new SetupError(
      "the JWT secret is shorter than 32 characters",
      "HEXA_JWT_SECRET",
      "use a longer one, for example of `openssl rand -base64 48`, or leave it out",
    );
  const secret = Buffer.from(jwtSecret);
  const kid = `fixed-${keyId(secret)}`;
  return [
    ["user_jwt", { kid, secret }],
    // Derived, so that a device's token can never pass for a user's.
    ["device_jwt", { kid, secret: createHmac("sha256", secret).update("device_jwt").digest() }],
  ];
}

function openStored(masterKey: Buffer, sealed: string): Buffer {
  try {
    return open(masterKey, sealed);
  } catch (cause) {
    throw new SetupError(
      "the master key does not open the database's secrets",
      "master.key in the data folder, or the configured master key",
      "restore the master key that belongs to this database from the backup",
      { cause },
    );
  }
}

function keyId(key: Buffer): string {
  return createHash("sha256").update("hexahub key id").update(key).digest("hex").slice(0, 8);
}

function parseKey(text: string, where: string): Buffer {
  const trimmed = text.trim();
  const key = /^[0-9a-f]{64}$/i.test(trimmed) ? Buffer.from(trimmed, "hex") : Buffer.from(trimmed, "base64");
  if (key.length !== KEY_BYTES)
    throw new SetupError(
      "the master key is not 32 bytes in base64 or hex",
      where,
      "restore it from the backup; a new one cannot open what the old one sealed",
    );
  return key;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new SetupError("the master key cannot be read", path, "give the file to the hub's user", { cause: error });
  }
}

/** Complete or not there at all, whenever the process is killed; the first of two processes wins. */
async function createKeyFile(path: string): Promise<void> {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await using file = await openFile(draft, "wx", 0o600);
    await file.writeFile(`${randomBytes(KEY_BYTES).toString("base64")}\n`);
    await file.sync();
    await link(draft, path);
    await unlink(draft);
  } catch (error) {
    await unlink(draft).catch(() => undefined);
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw new SetupError("the master key cannot be written", path, "give the hub's user a data folder that it owns", { cause: error });
  }
}
