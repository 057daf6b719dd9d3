import type { Duplex } from "node:stream";
import type { DevicePrincipal } from "../core/principal.ts";

/** A device that comes through a gateway, and is nobody else. */
export interface GatewayLogin {
  readonly uid: string;
  /** The token or JWT; or else the API has let the device in, as this. */
  readonly secret?: string | undefined;
  readonly principal?: DevicePrincipal | undefined;
}

/** Of connections that gateways have opened. Nothing is kept of one that is gone. */
const logins = new WeakMap<Duplex, GatewayLogin>();

export function rememberGatewayLogin(connection: Duplex, login: GatewayLogin): void {
  logins.set(connection, login);
}

export function gatewayLoginOf(connection: Duplex): GatewayLogin | undefined {
  return logins.get(connection);
}
