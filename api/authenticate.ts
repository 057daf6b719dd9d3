import type { IncomingHttpHeaders } from "node:http";
import { HubError } from "../core/errors.ts";
import { type Access, maySomewhere } from "../core/permissions.ts";
import { type Member, type OperatorPrincipal, type Principal, tokenScopeOf } from "../core/principal.ts";
import { authenticateBearer } from "../store/access-tokens.ts";
import { authenticateDevice } from "../store/credentials.ts";
import { homeOrganization } from "../store/organizations.ts";
import { isSameSecret } from "./constant-time.ts";
import type { ApiContext } from "./context.ts";
import type { Route, RouteAccess, SessionCookie } from "./route.ts";
import { authenticateCookie, type CookieRequest } from "./session-cookie.ts";

type Needs = Pick<ApiContext, "store" | "keys" | "clock" | "settings" | "access">;

const MAX_TOKEN_CHARS = 4096;

export interface Authenticated {
  /** undefined where nobody has to say. */
  readonly principal: Principal | undefined;
  /** The session cookie's successor. */
  readonly renewed?: SessionCookie;
}

/** Who calls. Throws `unauthorized`, `forbidden`, or `unavailable` without a provisioning key. */
export async function authenticate(
  context: Needs,
  access: RouteAccess,
  request: Omit<CookieRequest, "token"> & { readonly token: string | undefined },
): Promise<Authenticated> {
  const { headers } = request;
  switch (access) {
    case "none":
      return { principal: undefined };
    case "provision":
      checkProvisionKey(context.settings.provisionKey, single(headers["x-provision-key"]));
      return { principal: undefined };
    case "device":
      return { principal: await authenticateDeviceCall(context, headers) };
    default: {
      // A bearer token is asked first, and alone.
      const { token } = request;
      const isBrowser = headers.authorization === undefined && token !== undefined;
      const found = isBrowser
        ? await authenticateCookie(context, { ...request, token })
        : { principal: await authenticateMember(context, headers) };
      if (found.principal.kind === "user") await context.access.know(found.principal.id);
      return found;
    }
  }
}

/** The bearer token's user, service account or operator. Throws `unauthorized`. */
export async function authenticateMember(context: Needs, headers: IncomingHttpHeaders): Promise<Member> {
  const token = bearerOf(headers);
  if (token === undefined) throw new HubError("unauthorized", "send Authorization: Bearer <token>");
  if (isSameSecret(token, context.settings.operatorToken)) return operator(context);
  const principal = await authenticateBearer(context.store.db, context.keys, token, context.clock());
  if (principal === undefined) throw new HubError("unauthorized", "the token is wrong, expired or revoked");
  return principal;
}

/** Whether the route is open to who has these rights at all; on which device is for the route to say. Throws `forbidden`. */
export function requireAccess(access: RouteAccess, rights: Access): void {
  if (access === "none" || access === "provision" || access === "device" || access === "self" || rights.kind === "platform") return;
  if (access === "platform") throw new HubError("forbidden", "only an administrator of the hub may do this");
  if (!maySomewhere(rights, access))
    throw new HubError("forbidden", `this takes the permission ${access}`, { details: { permission: access } });
}

/** Changes the account itself: its logins, its tokens, where it belongs. */
export const isOfAccount = ({ access, method }: Pick<Route, "access" | "method">): boolean => access === "self" && method !== "GET";

/**
 * A limited token acts by its permissions alone: of what is open to everybody who is logged in it may only read, or it would
 * make itself one without limits. Throws `forbidden`.
 */
export function requireWholeAccount(route: Pick<Route, "access" | "method">, principal: Principal | undefined): void {
  if (principal !== undefined && tokenScopeOf(principal) !== undefined && isOfAccount(route))
    throw new HubError("forbidden", "this takes a login, or a token that is not limited");
}

function checkProvisionKey(expected: string | undefined, given: string | undefined): void {
  if (expected === undefined)
    throw new HubError(
      "unavailable",
      "provisioning is off: set DEVICE_PROVISION_KEY, or enrol the device as a user with POST /api/v1/devices",
    );
  if (given === undefined || !isSameSecret(given, expected))
    throw new HubError("unauthorized", "the header x-provision-key is missing or wrong");
}

async function authenticateDeviceCall(context: Needs, headers: IncomingHttpHeaders): Promise<Principal> {
  const uid = single(headers["x-device-uid"]);
  const secret = single(headers["x-device-token"]) ?? bearerOf(headers);
  if (uid === undefined || secret === undefined)
    throw new HubError("unauthorized", "send x-device-uid, and the token or JWT as Authorization: Bearer or x-device-token");
  if (uid.length > 64 || secret.length > MAX_TOKEN_CHARS) throw wrongDevice();
  const device = await authenticateDevice(context.store.db, context.keys, uid, secret, context.clock());
  if (device === undefined) throw wrongDevice();
  return device;
}

const wrongDevice = (): HubError => new HubError("unauthorized", "the device's uid or credential is wrong, expired or revoked");

/** The operator acts inside the hub's first organisation. */
async function operator({ store }: Needs): Promise<OperatorPrincipal> {
  const { id } = await homeOrganization(store.db);
  return { kind: "operator", id: "operator", organizationId: id, credentialId: "operator" };
}

function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  const token = /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? "")?.[1];
  return token === undefined || token.length > MAX_TOKEN_CHARS ? undefined : token;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
