import Type, { type Static, type TSchema } from "typebox";
import { may } from "../../core/permissions.ts";
import { versionOf } from "../../core/version.ts";
import {
  type Contact,
  createContact,
  deleteContact,
  getContact,
  listContacts,
  lockContact,
  openContact,
  updateContact,
} from "../../store/contacts.ts";
import type { Db } from "../../store/open.ts";
import type { ApiContext } from "../context.ts";
import { Cursor, Email, IdParams, Limit, line, nullable, pageOf } from "../fields.ts";
import { type AuditNote, type Call, defineRoute } from "../route.ts";

const ContactView = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    phone: Type.Optional(nullable("string", { description: "For whoever has `contact.read`" })),
    email: Type.Optional(nullable("string", { description: "For whoever has `contact.read`" })),
    unreadable: Type.Optional(Type.Boolean({ description: "true when phone or e-mail are kept and cannot be decrypted; they are null" })),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "Contact" },
);

const Phone = Type.String({ maxLength: 16, pattern: "^\\+[1-9][0-9]{6,14}$", description: "E.164: + and 7 to 15 digits" });
const orNone = (schema: TSchema) =>
  Type.Optional(Type.Unsafe<string | null>({ anyOf: [schema, { type: "null" }], description: "null for none" }));
const DETAILS = { phone: orNone(Phone), email: orNone(Email) };
const ContactRequest = Type.Object({ name: line(120), ...DETAILS }, { additionalProperties: false, title: "ContactRequest" });
const ContactPatch = Type.Object(
  { name: Type.Optional(line(120)), ...DETAILS },
  { additionalProperties: false, minProperties: 1, title: "ContactPatch" },
);
const bodyExample = { name: "Caretaker", phone: "+4930123456", email: "caretaker@example.org" };

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/contacts",
  tag: "Contacts",
  summary: "The contacts of your organisation",
  description:
    "Phone numbers and e-mail addresses are decrypted for whoever has `contact.read`, and the audit tells who has read how many.",
  access: "member.read",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      search: Type.Optional(Type.String({ minLength: 1, maxLength: 120, description: "Part of the name" })),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page, in the order in which they were made", schema: pageOf(ContactView, "ContactPage") } },
  async handler(call) {
    const { context, principal, query, commit } = call;
    const { organizationId } = principal;
    const { limit = 50, cursor: after, search } = query;
    const page = await listContacts(context.store.db, organizationId, { limit, after, search });
    if (!mayRead(call) || !page.items.some(hasDetails))
      return { status: 200, body: { data: page.items.map((contact) => namesOf(call, contact)), next_cursor: page.next } };
    return await commit(async (db) => {
      const data: ContactView[] = [];
      for (const contact of page.items) data.push(await openedOf(context, db, contact));
      const read = page.items.filter(hasDetails).length;
      return {
        answer: { status: 200, body: { data, next_cursor: page.next } },
        audit: [{ organizationId, action: "contact.list", resourceType: "contact", resourceId: null, details: { read } }],
      };
    });
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/contacts/:id",
  tag: "Contacts",
  summary: "One contact",
  description: "Phone number and e-mail address are decrypted for whoever has `contact.read`, and the audit tells who has read them.",
  access: "member.read",
  params: IdParams,
  replies: { 200: { description: "The contact", schema: Type.Object({ contact: ContactView }, { title: "ContactShown" }) } },
  errors: ["not_found"],
  async handler(call) {
    const { context, principal, params, commit } = call;
    const contact = await getContact(context.store.db, principal.organizationId, params.id.toLowerCase());
    const version = contactVersion(contact);
    if (!mayRead(call) || !hasDetails(contact)) return { status: 200, version, body: { contact: namesOf(call, contact) } };
    return await commit(async (db) => ({
      answer: { status: 200, version, body: { contact: await openedOf(context, db, contact) } },
      audit: [note(contact, "contact.read")],
    }));
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/contacts",
  tag: "Contacts",
  summary: "Add a contact",
  access: "contact.manage",
  body: ContactRequest,
  bodyExample,
  replies: { 201: { description: "Added", schema: Type.Object({ contact: ContactView }, { title: "ContactMade" }) } },
  errors: ["quota_exceeded"],
  handler: ({ context, principal, body, commit }) =>
    commit(async (db) => {
      const { name, phone = null, email = null } = body;
      const contact = await createContact(db, context.encryption, principal.organizationId, { name, phone, email }, context.clock());
      const view = { ...viewOf(contact), phone, email };
      return {
        answer: { status: 201, version: contactVersion(contact), body: { contact: view } },
        audit: [note(contact, "contact.create")],
      };
    }),
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/contacts/:id",
  tag: "Contacts",
  summary: "Change a contact",
  description: "What is not named stays; null takes phone or e-mail away.",
  access: "contact.manage",
  match: "optional",
  params: IdParams,
  body: ContactPatch,
  bodyExample: { phone: "+4930123456", email: null },
  replies: { 200: { description: "As it is now", schema: Type.Object({ contact: ContactView }, { title: "ContactChanged" }) } },
  errors: ["not_found"],
  handler: (call) => {
    const { context, principal, params, body, match, commit } = call;
    return commit(async (db) => {
      const before = await lockContact(db, principal.organizationId, params.id.toLowerCase());
      match(contactVersion(before));
      const contact = await updateContact(db, context.encryption, before, body, context.clock());
      const isRead = mayRead(call) && hasDetails(contact);
      return {
        answer: {
          status: 200,
          version: contactVersion(contact),
          body: { contact: isRead ? await openedOf(context, db, contact) : namesOf(call, contact) },
        },
        audit: [
          { ...note(contact, "contact.update"), details: { changed: Object.keys(body) } },
          // The answer has what was not changed too.
          ...(isRead ? [note(contact, "contact.read")] : []),
        ],
      };
    });
  },
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/contacts/:id",
  tag: "Contacts",
  summary: "Remove a contact",
  access: "contact.manage",
  match: "optional",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ principal, params, match, commit }) =>
    commit(async (db) => {
      const contact = await lockContact(db, principal.organizationId, params.id.toLowerCase());
      match(contactVersion(contact));
      await deleteContact(db, contact);
      return { answer: { status: 204 }, audit: [note(contact, "contact.delete")] };
    }),
});

type ContactView = Static<typeof ContactView>;
type Reader = Pick<Call, "rights"> & { readonly principal: { readonly organizationId: string } };

const mayRead = ({ rights, principal }: Reader): boolean => may(rights, "contact.read", principal.organizationId);
const hasDetails = ({ phone, email }: Contact): boolean => phone !== null || email !== null;
/** Not of the ciphertexts: a change of the key is no change of the contact. */
const contactVersion = ({ id, version }: Contact): string => versionOf([id, version]);

function viewOf({ id, name, createdAt, updatedAt }: Contact): ContactView {
  return { id, name, created_at: createdAt, updated_at: updatedAt };
}

/** Of a contact that is not decrypted: without details, or read by somebody for whom they are not there. */
function namesOf(reader: Reader, contact: Contact): ContactView {
  return { ...viewOf(contact), ...(mayRead(reader) ? { phone: null, email: null } : {}) };
}

async function openedOf({ encryption, log }: Pick<ApiContext, "encryption" | "log">, db: Db, contact: Contact): Promise<ContactView> {
  const { phone, email, isUnreadable } = await openContact({ db, encryption, log }, contact);
  return { ...viewOf(contact), phone, email, ...(isUnreadable ? { unreadable: true } : {}) };
}

function note({ id, organizationId }: Contact, action: string): AuditNote {
  return { organizationId, action, resourceType: "contact", resourceId: id };
}
