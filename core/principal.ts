import type { Permission } from "./permissions.ts";

/** Who a request comes from, after authentication. `credentialId` is what revocation names. */
export type Principal = DevicePrincipal | UserPrincipal | ServicePrincipal | OperatorPrincipal;

/** Everybody who may be in an organisation. */
export type Member = Exclude<Principal, DevicePrincipal>;

export interface DevicePrincipal {
  readonly kind: "device";
  readonly id: string;
  readonly uid: string;
  readonly credentialId: string;
  /** The TLS client certificate of the connection: its credential, beside a password or alone, and its SHA-256 in hexadecimal. */
  readonly certificate?: { readonly credentialId: string; readonly fingerprint: string };
}

export interface UserPrincipal {
  readonly kind: "user";
  readonly id: string;
  readonly email: string;
  /** Platform role. An `admin` sees every organisation. */
  readonly role: "admin" | "user";
  readonly organizationId: string;
  readonly credentialId: string;
  /** Absent where the credential may do all that the person may. */
  readonly tokenScope?: TokenScope;
}

/** A machine's account, for example Home Assistant's. It acts inside one organisation. */
export interface ServicePrincipal {
  readonly kind: "service";
  readonly id: string;
  readonly name: string;
  readonly organizationId: string;
  readonly credentialId: string;
  /** Absent where nobody has said. */
  readonly purpose?: ServicePurpose;
  readonly tokenScope?: TokenScope;
}

/** What a machine's account is for: what comes from it comes from there. */
export const SERVICE_PURPOSES = ["home-assistant", "homekit"] as const;
export type ServicePurpose = (typeof SERVICE_PURPOSES)[number];

/** Somebody who can read the data folder: the command line on the hub's own machine. */
export interface OperatorPrincipal {
  readonly kind: "operator";
  readonly id: "operator";
  readonly organizationId: string;
  readonly credentialId: "operator";
}

/** What a token is limited to, whatever its owner may do. By names and ids, since it is kept with stored sessions. */
export interface TokenScope {
  /** Without it: all. */
  readonly permissions?: readonly Permission[];
  /** On these devices alone; without it: in all of the organisation. */
  readonly deviceIds?: readonly string[];
}

/** undefined for whoever may do by the credential all that the account may. */
export function tokenScopeOf(principal: Principal): TokenScope | undefined {
  return principal.kind === "user" || principal.kind === "service" ? principal.tokenScope : undefined;
}

/** Which rows a store function may see or touch. */
export type Scope =
  | { readonly kind: "platform" }
  | { readonly kind: "organization"; readonly organizationId: string }
  /** Of these devices, while they are in the organisation, and nothing that belongs to no device. */
  | { readonly kind: "devices"; readonly organizationId: string; readonly deviceIds: readonly string[] };

export const PLATFORM: Scope = { kind: "platform" };

/** Holds a browser's login; the name is part of the contract (R-AUTH-3). */
export const SESSION_COOKIE = "session_token";

export const ACTOR_KINDS = ["user", "service", "operator", "device", "system", "schedule", "rule", "bridge"] as const;

/** Who did something, as it is written to state rows, events and the audit. */
export interface Actor {
  readonly kind: (typeof ACTOR_KINDS)[number];
  readonly id: string;
}

export const SYSTEM: Actor = { kind: "system", id: "hub" };

export function actorOf(principal: Principal): Actor {
  return { kind: principal.kind, id: principal.id };
}
