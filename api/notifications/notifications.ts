import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { type NotificationOwner, notificationJson, NotificationView, SEVERITIES } from "../../core/notification.ts";
import { type Member, tokenScopeOf } from "../../core/principal.ts";
import { countUnread, listNotifications, markAllRead, markRead, removeNotification } from "../../store/notifications.ts";
import { Cursor, IdParams, Limit, pageOf } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";

const TAG = "Notifications";
/** What stands in the database as a bigint, and in JSON as a number. */
export const MAX_SEQ = Number.MAX_SAFE_INTEGER;

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/notifications",
  tag: TAG,
  summary: "What you were told in the organisation that you act in",
  description: "The last 30 days, at most 1,000 of them.",
  access: "self",
  query: Type.Object(
    {
      limit: Limit(200, 50),
      cursor: Cursor,
      unread: Type.Optional(Type.Boolean({ description: "true: the unread ones alone; false: those that were read" })),
      severity: Type.Optional(Type.Enum([...SEVERITIES])),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "What was told last comes first", schema: pageOf(NotificationView, "NotificationPage") } },
  errors: ["forbidden"],
  async handler({ context, principal, query: { limit = 50, cursor, unread, severity } }) {
    const filter = { limit, before: cursor === undefined ? undefined : seqOf(cursor), isUnread: unread, severity };
    const page = await listNotifications(context.store.db, ownerOf(principal), filter);
    return { status: 200, body: { data: page.items.map(notificationJson), next_cursor: page.next } };
  },
});

export const unreadCount = defineRoute({
  method: "GET",
  path: "/api/v1/notifications/unread-count",
  tag: TAG,
  summary: "How many of your notifications are unread",
  access: "self",
  replies: { 200: { description: "The count", schema: Type.Object({ unread: Type.Integer() }, { title: "UnreadCount" }) } },
  errors: ["forbidden"],
  async handler({ context, principal }) {
    return { status: 200, body: { unread: await countUnread(context.store.db, ownerOf(principal)) } };
  },
});

export const read = defineRoute({
  method: "POST",
  path: "/api/v1/notifications/:id/read",
  tag: TAG,
  summary: "Mark one of your notifications as read",
  access: "self",
  params: IdParams,
  replies: {
    200: { description: "As it is now", schema: Type.Object({ notification: NotificationView }, { title: "NotificationRead" }) },
  },
  errors: ["not_found"],
  handler: ({ context, principal, params, commit }) => {
    const owner = ownerOf(principal);
    return commit(async (db) => {
      const notification = await markRead(db, owner, params.id.toLowerCase(), context.clock());
      return {
        answer: { status: 200, body: { notification: notificationJson(notification) } },
        audit: [note(owner, "notification.read", notification.id)],
      };
    });
  },
});

export const readAll = defineRoute({
  method: "POST",
  path: "/api/v1/notifications/read-all",
  tag: TAG,
  summary: "Mark your notifications as read",
  description: "Up to the one that you have seen last: what you are told meanwhile stays unread.",
  access: "self",
  body: Type.Object(
    { up_to: Type.Integer({ minimum: 0, maximum: MAX_SEQ, description: "`seq` of that one" }) },
    { additionalProperties: false, title: "ReadAllRequest" },
  ),
  bodyExample: { up_to: 42 },
  replies: { 200: { description: "How many were unread", schema: Type.Object({ read: Type.Integer() }, { title: "ReadAll" }) } },
  handler: ({ context, principal, body, commit }) => {
    const owner = ownerOf(principal);
    return commit(async (db) => {
      const count = await markAllRead(db, owner, body.up_to, context.clock());
      return {
        answer: { status: 200, body: { read: count } },
        audit: [{ ...note(owner, "notification.read_all", null), details: { up_to: body.up_to, read: count } }],
      };
    });
  },
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/notifications/:id",
  tag: TAG,
  summary: "Remove one of your notifications",
  access: "self",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ principal, params, commit }) => {
    const owner = ownerOf(principal);
    const id = params.id.toLowerCase();
    return commit(async (db) => {
      await removeNotification(db, owner, id);
      return { answer: { status: 204 }, audit: [note(owner, "notification.delete", id)] };
    });
  },
});

/** They are a person's, and about everything that the person may see. Throws `forbidden`. */
export function ownerOf(principal: Member): NotificationOwner {
  if (principal.kind !== "user") throw new HubError("forbidden", "notifications are a person's: log in as one");
  if (tokenScopeOf(principal) !== undefined) throw new HubError("forbidden", "this takes a login, or a token that is not limited");
  return { userId: principal.id, organizationId: principal.organizationId };
}

/** Throws `validation_error`. */
function seqOf(cursor: string): number {
  const seq = Number(cursor);
  if (/^\d{1,16}$/.test(cursor) && seq <= MAX_SEQ) return seq;
  throw new HubError("validation_error", "cursor is none of these pages", {
    details: [{ path: "/cursor", message: "is no next_cursor" }],
  });
}

function note({ organizationId }: NotificationOwner, action: string, id: string | null): AuditNote {
  return { organizationId, action, resourceType: "notification", resourceId: id };
}
