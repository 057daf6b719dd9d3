import { type Permission, PERMISSIONS } from "./permissions.ts";

/** What a program can ask for when somebody links their account with it, in words for the page that asks them. */
export const OAUTH_SCOPES = {
  devices: { permissions: ["device.read", "device.control"], says: "see your devices and what they measure, and switch them" },
  "devices.read": { permissions: ["device.read"], says: "see your devices and what they measure" },
  scenes: { permissions: ["automation.read"], says: "see your scenes and automations, and run them where it may switch devices" },
} as const satisfies Record<string, { readonly permissions: readonly Permission[]; readonly says: string }>;

export type OauthScope = keyof typeof OAUTH_SCOPES;
export const OAUTH_SCOPE_NAMES = Object.keys(OAUTH_SCOPES) as OauthScope[];

/** Of a list with spaces in between, as OAuth writes it; what is not known stands for nothing. */
export function parseScopes(text: string): OauthScope[] {
  const named = new Set(text.split(" "));
  return OAUTH_SCOPE_NAMES.filter((name) => named.has(name));
}

export function permissionsOfScopes(scopes: readonly OauthScope[]): Permission[] {
  const all = new Set<Permission>(scopes.flatMap((name) => [...OAUTH_SCOPES[name].permissions]));
  return PERMISSIONS.filter((permission) => all.has(permission));
}

/**
 * Why nobody can be sent back there with a code; undefined where they can: over HTTPS, or to a program on the same machine.
 * Nothing may stand in it that makes it look like another address.
 */
export function faultOfRedirectUri(text: string): string | undefined {
  if (!URL.canParse(text)) return "is not a URL";
  const { protocol, hostname, username, password, href } = new URL(text);
  if (protocol !== "https:" && !(protocol === "http:" && isLoopback(hostname))) return "has to begin with https://";
  if (username !== "" || password !== "") return "has a user name in it";
  if (text.includes("#")) return "has a fragment";
  if (text.includes("*")) return "has a wildcard: each address is named in full";
  return href === text ? undefined : `is not written as browsers write it: ${href}`;
}

/** Where accounts are linked: tokens and passwords must not cross a network in the clear. */
export const isFitIssuer = (url: URL): boolean => url.protocol === "https:" || isLoopback(url.hostname);

const isLoopback = (hostname: string): boolean => ["127.0.0.1", "[::1]", "localhost"].includes(hostname);
