import type { Log } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { type Encrypted, type Encryption, UnreadableText } from "./encryption.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { isoOf, type Page, pageOf, storableText } from "./sql.ts";

/** Somebody whom an organisation calls or writes to. What is encrypted stays so until somebody opens it. */
export interface Contact {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly phone: Encrypted | null;
  readonly email: Encrypted | null;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface ContactDetails {
  readonly phone: string | null;
  readonly email: string | null;
}
export type NewContact = ContactDetails & { readonly name: string };

export const MAX_CONTACTS = 10_000;

/** Throws `quota_exceeded`. */
export async function createContact(
  trx: Db,
  encryption: Encryption,
  organizationId: string,
  { name, phone, email }: NewContact,
  now: number,
): Promise<Contact> {
  await lockOrganization(trx, organizationId);
  await requireRoom(trx, organizationId);
  const [id, at] = [newId(), isoOf(now)];
  const owner = { id, organizationId };
  const row = {
    id,
    organization_id: organizationId,
    ...nameColumns(name),
    ...(await columnsOf(trx, encryption, owner, { phone, email })),
    version: 1,
    created_at: at,
    updated_at: at,
  };
  await trx("contacts").insert(row);
  return contactOf({ phone_encrypted: null, phone_key_id: null, email_encrypted: null, email_key_id: null, ...row });
}

/** Throws `not_found`. */
export async function getContact(db: Db, organizationId: string, id: string): Promise<Contact> {
  return contactRow(await db("contacts").where({ id, organization_id: organizationId }).first());
}

/** As it is until the transaction ends. Throws `not_found`. */
export async function lockContact(trx: Db, organizationId: string, id: string): Promise<Contact> {
  return contactRow(await trx("contacts").where({ id, organization_id: organizationId }).forUpdate().first());
}

export interface ContactFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
}

/** In the order in which they were made. */
export async function listContacts(db: Db, organizationId: string, { limit, after, search }: ContactFilter): Promise<Page<Contact>> {
  const query = db("contacts")
    .where({ organization_id: organizationId })
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  if (search !== undefined) query.whereRaw("name_search like ? escape '\\'", [`%${searchKey(search).replaceAll(/[\\%_]/g, "\\$&")}%`]);
  const rows = (await query) as ContactRow[];
  return pageOf(rows.map(contactOf), limit, ({ id }) => id);
}

/** What is not named stays, null takes it away. The contact has to be locked. */
export async function updateContact(
  trx: Db,
  encryption: Encryption,
  before: Contact,
  patch: Partial<NewContact>,
  now: number,
): Promise<Contact> {
  const { name, ...details } = patch;
  await trx("contacts")
    .where({ id: before.id })
    .update({
      ...(name === undefined ? {} : nameColumns(name)),
      ...(await columnsOf(trx, encryption, before, details)),
      version: before.version + 1,
      updated_at: isoOf(now),
    });
  return await getContact(trx, before.organizationId, before.id);
}

export async function deleteContact(trx: Db, { id }: Contact): Promise<void> {
  await trx("contacts").where({ id }).del();
}

/** Decrypts. What cannot be read is logged, and null, and makes the contact unreadable. */
export async function openContact(
  { db, encryption, log }: { readonly db: Db; readonly encryption: Encryption; readonly log: Log },
  contact: Contact,
): Promise<ContactDetails & { readonly isUnreadable: boolean }> {
  let isUnreadable = false;
  const read = async (name: keyof ContactDetails): Promise<string | null> => {
    const encrypted = contact[name];
    if (encrypted === null) return null;
    try {
      return await encryption.decrypt(db, encrypted, placeOf(contact, name));
    } catch (error) {
      if (!(error instanceof UnreadableText)) throw error;
      log.error({ err: error, contact_id: contact.id, column: name, key_id: encrypted.keyId }, "a contact cannot be decrypted");
      isUnreadable = true;
      return null;
    }
  };
  const [phone, email] = [await read("phone"), await read("email")];
  return { phone, email, isUnreadable };
}

interface ContactRow {
  id: string;
  organization_id: string;
  name: string;
  phone_encrypted: string | null;
  phone_key_id: string | null;
  email_encrypted: string | null;
  email_key_id: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

const placeOf = ({ id, organizationId }: Pick<Contact, "id" | "organizationId">, name: keyof ContactDetails) =>
  ({ table: "contacts", column: `${name}_encrypted`, rowId: id, organizationId }) as const;

/** Of those that are named. */
async function columnsOf(
  trx: Db,
  encryption: Encryption,
  owner: Pick<Contact, "id" | "organizationId">,
  details: Partial<ContactDetails>,
): Promise<Partial<Pick<ContactRow, "phone_encrypted" | "phone_key_id" | "email_encrypted" | "email_key_id">>> {
  const columns: Record<string, string | null> = {};
  for (const name of ["phone", "email"] as const) {
    const text = details[name];
    if (text === undefined) continue;
    const encrypted = text === null ? null : await encryption.encrypt(trx, text, placeOf(owner, name));
    columns[`${name}_encrypted`] = encrypted?.sealed ?? null;
    columns[`${name}_key_id`] = encrypted?.keyId ?? null;
  }
  return columns;
}

function nameColumns(name: string): { name: string; name_search: string } {
  const storable = storableText(name);
  return { name: storable, name_search: searchKey(storable) };
}

/** Made here and not by the database: SQLite knows the small letters of ASCII only. */
const searchKey = (text: string): string => storableText(text).normalize("NFKC").toLowerCase();

async function requireRoom(trx: Db, organizationId: string): Promise<void> {
  const row = (await trx("contacts").where({ organization_id: organizationId }).count({ count: "*" }).first()) as { count: number };
  if (row.count >= MAX_CONTACTS)
    throw new HubError("quota_exceeded", `an organisation has at most ${MAX_CONTACTS} contacts`, { details: { contacts: MAX_CONTACTS } });
}

function contactRow(row: unknown): Contact {
  if (row === undefined) throw new HubError("not_found", "there is no such contact");
  return contactOf(row as ContactRow);
}

function contactOf(row: ContactRow): Contact {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    phone: encryptedOf(row.phone_key_id, row.phone_encrypted),
    email: encryptedOf(row.email_key_id, row.email_encrypted),
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

const encryptedOf = (keyId: string | null, sealed: string | null): Encrypted | null =>
  keyId === null || sealed === null ? null : { keyId, sealed };
