import Type from "typebox";
import { newAudit } from "../../core/event.ts";
import { type Access, permissionsIn } from "../../core/permissions.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { endSurplusLogins, openCookieLogin, openLogin } from "../../store/logins.ts";
import { inTransaction } from "../../store/transaction.ts";
import { isStillRight } from "../../store/user-changes.ts";
import { findUser } from "../../store/users.ts";
import { Email } from "../fields.ts";
import { type Answer, defineRoute } from "../route.ts";
import { cookieOf } from "../session-cookie.ts";
import { PermissionField, permissionsOf } from "./organizations.ts";
import { provePassword, wrongPassword } from "./prove-password.ts";
import { CookieSession, Session, sessionJson, userJson, userVersion, UserView } from "./representation.ts";

const UNREMEMBERED_MS = 3_600_000;
const REMEMBERED_MS = 30 * 86_400_000;

export const login = defineRoute({
  method: "POST",
  path: "/api/v1/auth/login",
  tag: "Access",
  summary: "Log in with e-mail and password",
  access: "none",
  // An old answer would carry old tokens.
  idempotent: false,
  body: Type.Object(
    {
      email: Email,
      password: Type.String({ minLength: 1, maxLength: 1024 }),
      cookie: Type.Optional(
        Type.Boolean({
          description:
            "For browsers: the answer sets the cookie session_token and carries no token; a change then needs the header x-hexahub-csrf",
        }),
      ),
      remember_me: Type.Optional(Type.Boolean({ description: "The cookie lasts 30 days without being used, and not one hour" })),
    },
    { additionalProperties: false, title: "LoginRequest" },
  ),
  bodyExample: { email: "ada@example.com", password: "correct horse battery" },
  replies: {
    200: {
      description: "A token for the Authorization header, and one that gets the next; with `cookie` the user alone",
      schema: Type.Union([Session, CookieSession]),
    },
  },
  errors: ["unauthorized", "rate_limited"],
  async handler({ context, body, requestId, caller }) {
    const { db } = context.store;
    const now = context.clock();
    const { found, attempt } = await provePassword({ context, caller, requestId }, body);
    const actor = { kind: "user", id: found.id } as const;
    const about = { organizationId: found.organizationId, resourceType: "user", resourceId: found.id };
    const entry = newAudit({ ...about, actor, requestId, now, action: "user.login", details: { address: caller.address } });
    const isCookie = body.cookie === true;
    const ttlMs = !isCookie ? context.settings.loginTtlMs : body.remember_me === true ? REMEMBERED_MS : UNREMEMBERED_MS;
    const wanted = { userId: found.id, ttlMs, ...caller };
    const { answer, surplus } = await inTransaction(db, async (trx): Promise<{ answer: Answer; surplus: string[] }> => {
      if (!(await isStillRight(trx, found.id, found.passwordHash))) throw wrongPassword();
      await insertAudit(trx, [entry]);
      const opened: Answer = isCookie
        ? {
            status: 200,
            body: { user: userJson(found) },
            cookie: cookieOf(context, { id: await openCookieLogin(trx, wanted, now), userId: found.id, ttlMs }),
          }
        : { status: 200, body: sessionJson(context, found, await openLogin(trx, context.keys, wanted, now)) };
      const ended = await endSurplusLogins(trx, found.id, now);
      await insertAudit(
        trx,
        ended.map((id) =>
          newAudit({
            ...about,
            actor: SYSTEM,
            requestId,
            now,
            action: "user.logout",
            resourceType: "login",
            resourceId: id,
            details: { reason: "too_many" },
          }),
        ),
      );
      return { answer: opened, surplus: ended };
    });
    await attempt.succeeded();
    if (surplus.length > 0) await context.sessions.disconnect({ credentialIds: surplus }, "revoked");
    return answer;
  },
});

export const me = defineRoute({
  method: "GET",
  path: "/api/v1/auth/me",
  tag: "Access",
  summary: "Who the token speaks for, and what it may do",
  access: "self",
  description:
    "What may be done is told as it is now, by this credential: of a limited token what it leaves. Roles, grants and the organisation that one acts in change it.",
  replies: {
    200: {
      description: "The principal, and the user where it is one",
      schema: Type.Object(
        {
          kind: Type.Enum(["user", "service", "operator"]),
          id: Type.String(),
          organization_id: Type.String({ description: "In which it acts" }),
          user: Type.Unsafe<unknown>({ anyOf: [UserView, { type: "null" }] }),
          is_hub_administrator: Type.Boolean({ description: "Does what is for administrators of the hub, in every organisation" }),
          permissions: Type.Array(PermissionField, { description: "In all of the organisation, by this credential" }),
          device_permissions: Type.Array(
            Type.Object({ device_id: Type.String(), permissions: Type.Array(PermissionField) }, { title: "DevicePermissions" }),
            { description: "On single devices, beside those" },
          ),
        },
        { title: "Me" },
      ),
    },
  },
  async handler({ context, principal, rights }) {
    const user = principal.kind === "user" ? await findUser(context.store.db, principal.id) : undefined;
    return {
      status: 200,
      ...(user === undefined ? {} : { version: userVersion(user) }),
      body: {
        kind: principal.kind,
        id: principal.id,
        organization_id: principal.organizationId,
        user: user === undefined ? null : userJson(user),
        is_hub_administrator: rights.kind === "platform",
        permissions: permissionsOf(rights),
        device_permissions: devicePermissionsOf(rights),
      },
    };
  },
});

function devicePermissionsOf(access: Access): Record<string, unknown>[] {
  if (access.kind === "platform") return [];
  return [...access.onDevices].map(([id, set]) => ({ device_id: id, permissions: permissionsIn(set) }));
}
