import { HubError } from "../../core/errors.ts";
import { newAudit } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertAudit } from "../../store/audit.ts";
import { findUserWithPassword, type User } from "../../store/users.ts";
import type { LoginAttempt } from "../rate-limits.ts";
import type { Call } from "../route.ts";

export interface ProvenPassword {
  readonly found: User & { readonly passwordHash: string };
  /** Still counts until the caller says that it succeeded. */
  readonly attempt: LoginAttempt;
}

/** Somebody's e-mail and password, and an account that is active. Throws `unauthorized`, which the audit keeps, and `rate_limited`. */
export async function provePassword(
  { context, caller, requestId }: Pick<Call, "context" | "caller" | "requestId">,
  { email, password }: { readonly email: string; readonly password: string },
): Promise<ProvenPassword> {
  const { db } = context.store;
  const attempt = await context.rateLimits.tryLogin(email, caller.address);
  const found = await findUserWithPassword(db, email);
  // The same work for an unknown e-mail: the time must not tell who has an account.
  const isRight =
    found === undefined
      ? await context.passwords.spendTime().then(() => false)
      : await context.passwords.verify(password, found.passwordHash);
  if (found !== undefined && isRight && found.isActive) return { found, attempt };
  const actor = found === undefined ? SYSTEM : ({ kind: "user", id: found.id } as const);
  const about = { organizationId: found?.organizationId ?? null, resourceType: "user", resourceId: found?.id ?? null };
  await insertAudit(db, [newAudit({ ...about, actor, requestId, now: context.clock(), action: "user.login_refused", details: {} })]);
  throw wrongPassword();
}

export const wrongPassword = (): HubError => new HubError("unauthorized", "the e-mail or the password is wrong");
