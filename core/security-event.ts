import type { AuditEntry } from "./event.ts";
import type { Actor } from "./principal.ts";

/** What the audit says of attempts that came to nothing, and of credentials: its report counts these apart. */
export const SECURITY_ACTIONS = {
  "user.login_refused": "a password was wrong, or the account unknown",
  "user.login_blocked": "too many wrong passwords: this one was not looked at",
  "user.pin_refused": "the PIN for an approval was wrong, or locked",
  "user.refresh_token_reused": "a refresh token came a second time, and its login ended",
  "credential.refused": "a token, cookie, device credential or provisioning key was wrong, expired or revoked",
  "request.forbidden": "somebody asked for what the role does not allow",
  "request.cross_site": "a page of another site made a browser ask for a change",
  "mqtt.login_refused": "a client could not log in",
  "operator.access": "the command line of the hub's own machine asked for something",
  "audit.export": "the audit was taken out",
  "audit.fault": "a verification found a row that is not what was sealed",
} as const;
export type SecurityAction = keyof typeof SECURITY_ACTIONS;

export interface SecurityEvent {
  readonly action: SecurityAction;
  /** Absent for somebody who is not known. */
  readonly actor?: Actor | undefined;
  readonly organizationId: string | null;
  readonly resource?: Pick<AuditEntry, "resourceType" | "resourceId">;
  /** Where it comes from; of IPv6 the /64. */
  readonly source: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId?: string | null;
}

/** Writes what has no transaction of its own to the audit. Never throws and makes nobody wait; says how much it leaves out. */
export interface SecurityEvents {
  note(event: SecurityEvent): void;
}
