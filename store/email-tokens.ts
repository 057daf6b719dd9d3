import { newId, newSecret } from "../core/id.ts";
import type { Db } from "./open.ts";
import { type SigningKeys, tokenHash } from "./secrets.ts";
import { isoOf, storableText } from "./sql.ts";
import { emailKey, type User } from "./users.ts";

/**
 * What somebody gets by mail to show that they read what is sent to the address. A reset is the address's, whoever has it by
 * then, and so the same is done for an address that has no account.
 */
export type EmailToken =
  | { readonly kind: "registration"; readonly email: string; readonly registration: Registration }
  | { readonly kind: "email_verification" | "email_change"; readonly email: string; readonly userId: string }
  | { readonly kind: "password_reset"; readonly email: string };
export type EmailTokenKind = EmailToken["kind"];

/** What becomes a person when the address is confirmed. */
export interface Registration {
  readonly passwordHash: string;
  readonly name: string | null;
  readonly organizationName: string | null;
}

const PREFIX = "hxv";

/**
 * The token is shown once and kept as HMAC-SHA-256. A reset takes the place of the one before it, and so does what is somebody's
 * own; registrations of one address stand beside each other, or one could take away the other's.
 */
export async function putEmailToken(db: Db, keys: SigningKeys, wanted: EmailToken, ttlMs: number, now: number): Promise<string> {
  const token = newSecret(PREFIX);
  const email = emailKey(wanted.email);
  const registration = wanted.kind === "registration" ? wanted.registration : undefined;
  const row = {
    slot: slotOf(wanted, email),
    kind: wanted.kind,
    token_hash: tokenHash(keys.active("token_hmac"), token),
    email,
    user_id: "userId" in wanted ? wanted.userId : null,
    password_hash: registration?.passwordHash ?? null,
    name: textOf(registration?.name),
    organization_name: textOf(registration?.organizationName),
    created_at: isoOf(now),
    expires_at: isoOf(now + ttlMs),
  };
  await db("email_tokens").insert(row).onConflict("slot").merge();
  return token;
}

/** undefined for one that is wrong, used, replaced, too old, or for something else. */
export async function findEmailToken(
  db: Db,
  keys: SigningKeys,
  token: string,
  kinds: readonly EmailTokenKind[],
  now: number,
): Promise<EmailToken | undefined> {
  const row = await findRow(db, keys, token, { kinds, now });
  return row && tokenOf(row);
}

/** Uses it up, once; undefined where {@link findEmailToken} gives none. */
export async function takeEmailToken(
  db: Db,
  keys: SigningKeys,
  token: string,
  kinds: readonly EmailTokenKind[],
  now: number,
): Promise<EmailToken | undefined> {
  const row = await findRow(db, keys, token, { kinds, now });
  if (!row) return undefined;
  await lockEmailTokens(db, { id: row.user_id, email: row.email });
  // By its hash: another one may be in the slot by now.
  return (await db("email_tokens").where({ token_hash: row.token_hash }).del()) > 0 ? tokenOf(row) : undefined;
}

/** The number of passwords that may be shown with the token of one registration. */
const MAX_TRIES = 5;

/**
 * What was asked for, for whoever shows the password that was chosen then. Counts the try before the password is looked at, so
 * that many at once count too; undefined after five, and where {@link findEmailToken} gives none.
 */
export async function tryRegistration(db: Db, keys: SigningKeys, token: string, now: number): Promise<Registration | undefined> {
  for (;;) {
    const row = await findRow(db, keys, token, { kinds: ["registration"], now });
    const found = row && tokenOf(row);
    if (!row || found?.kind !== "registration") return undefined;
    const [kind, id, tries = "0"] = row.slot.split(" ");
    if (Number(tries) >= MAX_TRIES) return undefined;
    // Nobody else has counted meanwhile, or it is read again.
    const { token_hash, slot } = row;
    const counted = await db("email_tokens")
      .where({ token_hash, slot })
      .update({ slot: [kind, id, Number(tries) + 1].join(" ") });
    if (counted > 0) return found.registration;
  }
}

/** Whatever was sent to the person, or in their name to another address, is worth nothing any more. Before the person is changed. */
export async function dropEmailTokens(db: Db, { id, email }: Pick<User, "id" | "email">): Promise<void> {
  await lockEmailTokens(db, { id, email });
  await db("email_tokens").where({ email }).orWhere({ user_id: id }).del();
}

/**
 * All that are about the person or the address, in one order, and before the person's row: whoever changes somebody takes these
 * locks first, so that of two at once one waits for the other and never both for each other.
 */
async function lockEmailTokens(trx: Db, { id, email }: { readonly id: string | null; readonly email: string }): Promise<void> {
  const theirs = trx("users")
    .whereIn("id", id === null ? [] : [id])
    .select("email");
  const owner = trx("users").where({ email }).select("id");
  await trx("email_tokens")
    .where({ email })
    .orWhereIn("email", theirs)
    .orWhereIn("user_id", id === null ? [] : [id])
    .orWhereIn("user_id", owner)
    .orderBy("slot")
    .forUpdate()
    .select("slot");
}

/** Removes those that nobody used in time. Answers how many. */
export async function purgeEmailTokens(db: Db, now: number): Promise<number> {
  return await db("email_tokens").where("expires_at", "<=", isoOf(now)).del();
}

interface TokenRow {
  slot: string;
  kind: EmailTokenKind;
  token_hash: string;
  email: string;
  user_id: string | null;
  password_hash: string | null;
  name: string | null;
  organization_name: string | null;
}

async function findRow(
  db: Db,
  keys: SigningKeys,
  token: string,
  { kinds, now }: { readonly kinds: readonly EmailTokenKind[]; readonly now: number },
): Promise<TokenRow | undefined> {
  const hashes = token.startsWith(`${PREFIX}_`) ? keys.all("token_hmac").map((key) => tokenHash(key, token)) : [];
  return (await db("email_tokens")
    .whereIn("token_hash", hashes)
    .whereIn("kind", [...kinds])
    .where("expires_at", ">", isoOf(now))
    .first()) as TokenRow | undefined;
}

function tokenOf(row: TokenRow): EmailToken {
  const { kind, email } = row;
  switch (kind) {
    case "registration":
      return {
        kind,
        email,
        registration: { passwordHash: row.password_hash as string, name: row.name, organizationName: row.organization_name },
      };
    case "password_reset":
      return { kind, email };
    case "email_verification":
    case "email_change":
      return { kind, email, userId: row.user_id as string };
  }
}

function slotOf(wanted: EmailToken, email: string): string {
  switch (wanted.kind) {
    case "registration":
      // Behind it comes how often its password was tried.
      return `registration ${newId()}`;
    case "password_reset":
      return `password_reset ${email}`;
    case "email_verification":
    case "email_change":
      return `${wanted.kind} ${wanted.userId}`;
  }
}

const textOf = (text: string | null | undefined): string | null => (text ? storableText(text) : null);
