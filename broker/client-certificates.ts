import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { deviceUrn } from "../core/certificate.ts";
import { isDeviceUid } from "../core/id.ts";
import type { ClientTrust } from "./client-trust.ts";
import { serialOf } from "./revocation-list.ts";

/** The certificate of a connection whose handshake proved it. */
export interface ClientCertificate {
  /** SHA-256, hexadecimal in small letters without colons. */
  readonly fingerprint: string;
  /** Hexadecimal, capitals. */
  readonly serialNumber: string;
  /** The device that it names; undefined when it names none, or more than one. */
  readonly uid: string | undefined;
  /** ms since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /**
   * The authority it ends at, SHA-256 as OpenSSL writes it; undefined when an intermediate is not in the file of the
   * authorities: Node does not show what the client sends along (nodejs/node#65579), and a ticket does not hold it.
   */
  readonly root: string | undefined;
  /** By which the handshake checked it. */
  readonly trust: ClientTrust;
  /** What a revocation list would name: its own serial number and that of each intermediate, by the issuer's SHA-256. */
  readonly issued: readonly { readonly issuer: string; readonly serial: string }[];
}

export type CertificateFault = "unverified" | "not_yet_valid" | "expired" | "revoked" | "foreign";

/**
 * Why the certificate is not to be believed now. Asked at the handshake and again while the connection lives: a resumed
 * session brings a certificate that OpenSSL checked hours ago, and lists and authorities change.
 */
export function faultOf(certificate: ClientCertificate, trust: ClientTrust, now: number): CertificateFault | undefined {
  if (now < certificate.notBefore) return "not_yet_valid";
  if (now > certificate.notAfter) return "expired";
  if (!isRooted(certificate, trust)) return "foreign";
  return certificate.issued.some(({ issuer, serial }) => trust.revoked.get(issuer)?.has(serial)) ? "revoked" : undefined;
}

/** With an unknown intermediate OpenSSL's word is good as long as all authorities stay, and no list could name it. */
function isRooted({ root, trust: checkedBy }: ClientCertificate, trust: ClientTrust): boolean {
  if (root !== undefined) return trust.authorities.has(root);
  return !trust.hasLists && [...checkedBy.authorities].every((one) => trust.authorities.has(one));
}

/**
 * What the peer of this TLS connection proved: undefined when it showed no certificate, `unverified` when OpenSSL did not
 * accept it. The certificate is asked for first: without one, "authorized" says nothing.
 */
export function readClientCertificate(socket: TLSSocket, trust: ClientTrust): ClientCertificate | "unverified" | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  if (!socket.authorized) return "unverified";
  const chain = chainOf(socket.getPeerCertificate(true));
  const root = chain.at(-1)?.fingerprint256;
  return {
    fingerprint: plainHex(certificate.fingerprint256),
    serialNumber: certificate.serialNumber,
    uid: uidOf(certificate),
    trust,
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    root: root !== undefined && trust.authorities.has(root) ? root : undefined,
    issued: chain.flatMap((one, index) => {
      const issuer = chain[index + 1];
      return issuer ? [{ issuer: issuer.fingerprint256, serial: serialOf(one.serialNumber) }] : [];
    }),
  };
}

/** `AB:CD` → `abcd`. */
export const plainHex = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase();

/** By connection. Nothing is kept of one that is gone. */
const certificates = new WeakMap<Duplex, ClientCertificate>();

export function rememberCertificate(connection: Duplex, certificate: ClientCertificate): void {
  certificates.set(connection, certificate);
}

/** The verified certificate of an MQTT connection: undefined without TLS, and without a certificate. */
export function certificateOf(connection: Duplex): ClientCertificate | undefined {
  return certificates.get(connection);
}

/** The certificate itself first, what it ends at last. OpenSSL lets the last one point at itself. */
function chainOf(leaf: PeerCertificate & { issuerCertificate?: PeerCertificate }): PeerCertificate[] {
  const chain: PeerCertificate[] = [];
  for (let one: (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined = leaf; one; one = one.issuerCertificate) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === one?.fingerprint256)) break;
    chain.push(one);
  }
  return chain;
}

const URN = deviceUrn("");

/**
 * The device that a certificate names: the URI `urn:hexahub:device:<uid>` among its alternative names, else a host name
 * there that is a uid, else its common name. The first kind that is there decides, and has to be unambiguous.
 */
export function uidOf(certificate: X509Certificate): string | undefined {
  const alternative = certificate.subjectAltName ?? "";
  // An entry with a character that could pass for the border between two is quoted; none of ours needs that.
  if (alternative.includes('"')) return undefined;
  const entries = alternative.split(", ");
  const named = (prefix: string): string[] => entries.filter((one) => one.startsWith(prefix)).map((one) => one.slice(prefix.length));
  const urns = named(`URI:${URN}`);
  const hosts = named("DNS:").filter(isDeviceUid);
  const { CN: common } = certificate.toLegacyObject().subject as { CN?: string | string[] };
  const names = urns.length > 0 ? urns : hosts.length > 0 ? hosts : typeof common === "string" ? [common] : [];
  const [uid] = names;
  return uid !== undefined && new Set(names).size === 1 && isDeviceUid(uid) ? uid : undefined;
}
