import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SESSION_COOKIE } from "../core/principal.ts";

/** Of connections that pages of the hub itself have opened. Nothing is kept of one that is gone. */
const tokens = new WeakMap<Duplex, string>();

const COOKIE = new RegExp(`(?:^|;)\\s*${SESSION_COOKIE}=([\\w.-]{1,4096})(?:;|$)`);

/**
 * Keeps the session cookie for the CONNECT: no script can read it, so that it cannot be the password. A page of another
 * origin comes with the cookie too, where the browser takes it for the same site, and gets nothing by it.
 */
export function rememberCookie(connection: Duplex, { headers }: IncomingMessage, publicOrigin: string | undefined): void {
  const { origin, host, cookie = "" } = headers;
  if (origin === undefined) return;
  const isOwn = origin === publicOrigin || (host !== undefined && URL.parse(origin)?.host === host.toLowerCase());
  const token = isOwn ? COOKIE.exec(cookie)?.[1] : undefined;
  if (token !== undefined) tokens.set(connection, token);
}

export function cookieTokenOf(connection: Duplex): string | undefined {
  return tokens.get(connection);
}
