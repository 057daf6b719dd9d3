import { newAudit } from "../core/event.ts";
import { isDeviceUid } from "../core/id.ts";
import { type DevicePrincipal, PLATFORM, type Principal } from "../core/principal.ts";
import { authenticateBearer, authenticateService } from "../store/access-tokens.ts";
import { insertAudit } from "../store/audit.ts";
import { authenticateDevice, findCertificate, recordCertificate, revokedAmong } from "../store/credentials.ts";
import { findDevice } from "../store/devices.ts";
import type { Store } from "../store/open.ts";
import { authenticateUserJwt } from "../store/logins.ts";
import type { Passwords } from "../store/passwords.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { inTransaction } from "../store/transaction.ts";
import { findUserWithPassword, passwordCredentialId, userPrincipal } from "../store/users.ts";
import { hasControlCharacter } from "../core/authorize.ts";
import type { ClientCertificate } from "./client-certificates.ts";
import type { GatewayLogin } from "./gateway-login.ts";

export interface AuthenticationContext {
  readonly store: Store;
  readonly keys: SigningKeys;
  readonly passwords: Passwords;
  readonly clock: () => number;
}

/** What a client shows of itself. */
export interface Login {
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Of the connection, verified by its handshake. */
  readonly certificate?: ClientCertificate | undefined;
  /** The session cookie of the hub's own page. */
  readonly cookieToken?: string | undefined;
  /** Through which no one comes but a device. */
  readonly gateway?: GatewayLogin | undefined;
}

/**
 * Who an MQTT CONNECT is. A device gives its uid and its token or JWT, or comes with a certificate and no password; a
 * person the e-mail address and the password or a token, a browser the session cookie; a service account its name and its token. Whoever comes with a
 * device's certificate and a password has to be that device by both. undefined for everything else, without saying what was wrong.
 */
export async function authenticate(
  context: AuthenticationContext,
  { username, password, certificate, cookieToken, gateway }: Login,
): Promise<Principal | undefined> {
  if (gateway) return authenticateGateway(context, gateway);
  if (cookieToken !== undefined && username === undefined && password === undefined) {
    const found = await authenticateUserJwt(context.store.db, context.keys, cookieToken, context.clock());
    return found && userPrincipal(found.user, found.login.id);
  }
  if (certificate === undefined) return authenticatePassword(context, username, password);
  const shown = await authenticateCertificate(context, certificate);
  if (shown === "refused") return undefined;
  if (shown !== "nobody" && username !== undefined && username !== shown.uid) return undefined;
  if (password === undefined) return shown === "nobody" ? undefined : shown;
  const principal = await authenticatePassword(context, username, password);
  if (shown === "nobody") return principal;
  return principal?.kind === "device" && principal.id === shown.id ? { ...principal, certificate: shown.certificate } : undefined;
}

type CertifiedDevice = DevicePrincipal & Required<Pick<DevicePrincipal, "certificate">>;

/**
 * The device that a verified certificate is. One that the hub issued is a row in the store; one of a given authority
 * becomes a row with its first login, so that it is listed and revoked like every credential. `nobody` for a certificate
 * that is good and names no device of this hub, for example a service's; `refused` for one that was revoked or is not known.
 */
export async function authenticateCertificate(
  { store: { db }, clock }: Pick<AuthenticationContext, "store" | "clock">,
  certificate: ClientCertificate,
): Promise<CertifiedDevice | "nobody" | "refused"> {
  const { fingerprint, uid, trust } = certificate;
  let known = await findCertificate(db, fingerprint);
  const device = known || trust.isOwn || uid === undefined ? undefined : await findDevice(db, PLATFORM, uid);
  if (device) {
    await inTransaction(db, async (trx) => {
      const now = clock();
      const credentialId = await recordCertificate(trx, device.id, certificate, now);
      const about = { organizationId: device.organizationId, resourceType: "device", resourceId: device.id, now };
      const details = { uid, credential_id: credentialId, fingerprint_sha256: fingerprint };
      await insertAudit(trx, [
        newAudit({ ...about, actor: { kind: "device", id: device.id }, action: "device.record_certificate", details }),
      ]);
    });
    // Another node may have been first.
    known = await findCertificate(db, fingerprint);
  }
  if (!known) return trust.isOwn ? "refused" : "nobody";
  if (known.isRevoked || known.uid !== uid) return "refused";
  const { credentialId } = known;
  return { kind: "device", id: known.deviceId, uid, credentialId, certificate: { credentialId, fingerprint } };
}

async function authenticateGateway(
  { store: { db }, keys, clock }: AuthenticationContext,
  { uid, secret, principal }: GatewayLogin,
): Promise<Principal | undefined> {
  if (secret !== undefined) return authenticateDevice(db, keys, uid, secret, clock());
  // Since the API has let it in, the credential may have been revoked, or the device removed.
  if (!principal || (await revokedAmong(db, [principal.credentialId])).length > 0) return undefined;
  return (await findDevice(db, PLATFORM, principal.id)) && principal;
}

async function authenticatePassword(
  context: AuthenticationContext,
  username: string | undefined,
  password: string | undefined,
): Promise<Principal | undefined> {
  // A name that no table can hold is nobody's.
  if (!username || !password || hasControlCharacter(username)) return undefined;
  if (username.includes("@")) return authenticateUser(context, username, password);
  const { store, keys, clock } = context;
  const now = clock();
  if (isDeviceUid(username)) {
    const device = await authenticateDevice(store.db, keys, username, password, now);
    if (device) return device;
  }
  return authenticateService(store.db, keys, username, password, now);
}

async function authenticateUser(
  { store, keys, passwords, clock }: AuthenticationContext,
  email: string,
  password: string,
): Promise<Principal | undefined> {
  const byToken = await authenticateBearer(store.db, keys, password, clock());
  if (byToken) return byToken.kind === "user" && byToken.email === email.toLowerCase() ? byToken : undefined;
  const user = await findUserWithPassword(store.db, email);
  if (!user?.isActive) {
    await passwords.spendTime();
    return undefined;
  }
  if (!(await passwords.verify(password, user.passwordHash))) return undefined;
  return userPrincipal(user, passwordCredentialId(user));
}
