import type { Principal } from "./principal.ts";

/** Which sessions are meant, as a value that travels: everything that is given has to hold, and nothing given means none. */
export interface SessionSelector {
  readonly deviceId?: string;
  /** One of them is the session's credential, or that of its client certificate. */
  readonly credentialIds?: readonly string[];
  /** The session is one of these people's. */
  readonly userIds?: readonly string[];
  /** SHA-256 in hexadecimal; one of them is the session's client certificate. */
  readonly certificateFingerprints?: readonly string[];
}

export function matches({ deviceId, credentialIds, userIds, certificateFingerprints }: SessionSelector, principal: Principal): boolean {
  if (deviceId === undefined && credentialIds === undefined && userIds === undefined && certificateFingerprints === undefined) return false;
  const certificate = principal.kind === "device" ? principal.certificate : undefined;
  if (deviceId !== undefined && !(principal.kind === "device" && principal.id === deviceId)) return false;
  if (userIds && !(principal.kind === "user" && userIds.includes(principal.id))) return false;
  if (credentialIds && !credentialIds.some((id) => id === principal.credentialId || id === certificate?.credentialId)) return false;
  return certificateFingerprints === undefined || (certificate !== undefined && certificateFingerprints.includes(certificate.fingerprint));
}
