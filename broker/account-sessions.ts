import type { Principal } from "../core/principal.ts";
import { keyOf } from "../core/authorize.ts";

/** The client ids for which each account has a session that outlives its connection, or a login that will have one. */
export class AccountSessions {
  readonly #clientIds = new Map<string, Set<string>>();

  add(principal: Principal, clientId: string): void {
    if (!isCounted(principal)) return;
    const account = keyOf(principal);
    const clientIds = this.#clientIds.get(account);
    if (clientIds) clientIds.add(clientId);
    else this.#clientIds.set(account, new Set([clientId]));
  }

  delete(principal: Principal, clientId: string): void {
    const account = keyOf(principal);
    const clientIds = this.#clientIds.get(account);
    clientIds?.delete(clientId);
    if (clientIds?.size === 0) this.#clientIds.delete(account);
  }

  /** Whether the account may have a session of that name: one that is there goes on, whatever the limit. */
  hasRoom(principal: Principal, clientId: string, most: number): boolean {
    if (!isCounted(principal)) return true;
    const clientIds = this.#clientIds.get(keyOf(principal));
    return clientIds === undefined || clientIds.size < most || clientIds.has(clientId);
  }
}

/** A device has one client id, which is its uid. */
const isCounted = ({ kind }: Principal): boolean => kind !== "device";
