import { HubError } from "../../core/errors.ts";
import { newAudit } from "../../core/event.ts";
import { actorOf, type Member, type UserPrincipal } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { findUserWithPassword, type User } from "../../store/users.ts";
import type { AuditNote, Call } from "../route.ts";

/** The person that the credential speaks for. Throws `forbidden` for machines and for the operator. */
export function requirePerson(principal: Member): UserPrincipal {
  if (principal.kind !== "user") throw new HubError("forbidden", "this is about a person: log in as one");
  return principal;
}

/**
 * What changes who somebody is takes the password beside the login. A wrong one counts as a failed login, and is no 401: the
 * token is still good. Throws `forbidden` and `rate_limited`.
 */
export async function confirmPassword(
  { context, principal, caller, requestId }: Pick<Call<"self">, "context" | "principal" | "caller" | "requestId">,
  password: string,
): Promise<User & { readonly passwordHash: string }> {
  const person = requirePerson(principal);
  const { db } = context.store;
  const attempt = await context.rateLimits.tryLogin(person.email, caller.address);
  const found = await findUserWithPassword(db, person.email);
  if (found?.id !== person.id || !(await context.passwords.verify(password, found.passwordHash))) {
    const about = { organizationId: person.organizationId, resourceType: "user", resourceId: person.id, details: {} };
    await insertAudit(db, [
      newAudit({ ...about, actor: actorOf(person), requestId, now: context.clock(), action: "user.password_refused" }),
    ]);
    throw new HubError("forbidden", "the password is wrong");
  }
  await attempt.succeeded();
  return found;
}

/** For the audit. */
export function noteOn(
  { id, organizationId }: Pick<User, "id" | "organizationId">,
  action: string,
  details: Record<string, unknown> = {},
): AuditNote {
  return { organizationId, action, resourceType: "user", resourceId: id, details };
}
