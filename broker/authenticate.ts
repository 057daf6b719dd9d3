import { isDeviceUid } from "../core/id.ts";
import type { Principal } from "../core/principal.ts";
import { authenticateBearer, authenticateService } from "../store/access-tokens.ts";
import { authenticateDevice } from "../store/credentials.ts";
import type { Store } from "../store/open.ts";
import { spendPasswordTime, verifyPassword } from "../store/passwords.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { findUserWithPassword } from "../store/users.ts";
import { hasControlCharacter } from "./authorize.ts";

export interface AuthenticationContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly clock: () => number;
}

/**
 * Who an MQTT CONNECT is. A device gives its uid and its token or JWT; a person the e-mail address and the password or
 * a token; a service account its name and its token. undefined for everything else, without saying what was wrong.
 */
export async function authenticate(
  { store, keys, clock }: AuthenticationContext,
  username: string | undefined,
  password: string | undefined,
): Promise<Principal | undefined> {
  // A name that no table can hold is nobody's.
  if (!username || !password || hasControlCharacter(username)) return undefined;
  const now = clock();
  if (username.includes("@")) return authenticateUser({ store, keys, clock }, username, password);
  if (isDeviceUid(username)) {
    const device = await authenticateDevice(store.db, keys, username, password, now);
    if (device) return device;
  }
  return authenticateService(store.db, keys, username, password, now);
}

async function authenticateUser(
  { store, keys, clock }: AuthenticationContext,
  email: string,
  password: string,
): Promise<Principal | undefined> {
  const byToken = await authenticateBearer(store.db, keys, password, clock());
  if (byToken) return byToken.kind === "user" && byToken.email === email.toLowerCase() ? byToken : undefined;
  const user = await findUserWithPassword(store.db, email);
  if (!user?.isActive) {
    await spendPasswordTime();
    return undefined;
  }
  if (!(await verifyPassword(password, user.passwordHash))) return undefined;
  return {
    kind: "user",
    id: user.id,
    email: user.email,
    role: user.role,
    organizationId: user.organizationId,
    credentialId: `password:${user.id}`,
  };
}
