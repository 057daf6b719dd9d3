import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SetupError } from "../core/errors.ts";
import { authorityFile, ensureAuthority } from "./certificates.ts";
import { parseRevocationLists, type RevocationList } from "./revocation-list.ts";

export interface ClientTrustOptions {
  /** Folder of the hub's own authority, which is trusted when no file is given. */
  readonly dir: string;
  /** PEM: authorities whose client certificates are taken, with their intermediates. */
  readonly caFile?: string | undefined;
  /** Revocation lists of these authorities, PEM or DER. */
  readonly crlFile?: string | undefined;
}

/** Whose client certificates are taken. */
export interface ClientTrust {
  /** PEM. */
  readonly ca: string;
  /** SHA-256 of each authority, as OpenSSL writes it. */
  readonly authorities: ReadonlySet<string>;
  /** The serial numbers that were taken back, by the SHA-256 of their issuer: two authorities may share a name. */
  readonly revoked: ReadonlyMap<string, ReadonlySet<string>>;
  /** The hub signed them itself: then each is a row in the store, or is none of ours. */
  readonly isOwn: boolean;
  /** When the first of the authorities ends. */
  readonly notAfter: Date;
  /** When a newer revocation list should be there; undefined without a list, or one that does not say. */
  readonly nextUpdate: number | undefined;
  /** With revocation lists, every issuer has to be known: an intermediate that only the client sends cannot be checked. */
  readonly hasLists: boolean;
  /** When the authorities changed, ms since 1970; 0 since the start. */
  readonly since: number;
}

export const clientTrustFiles = ({ dir, caFile, crlFile }: ClientTrustOptions): readonly string[] => [
  caFile ?? authorityFile(dir),
  ...(crlFile === undefined ? [] : [crlFile]),
];

/** Throws `SetupError` for files that cannot be read, or a list that none of the authorities signed. */
export async function loadClientTrust(
  { dir, caFile, crlFile }: ClientTrustOptions,
  now: number,
  previous?: ClientTrust,
): Promise<ClientTrust> {
  const ca = caFile === undefined ? await ensureAuthority(dir, now) : await readText(caFile);
  const authorities = parseAuthorities(ca, caFile ?? authorityFile(dir));
  const lists = crlFile === undefined ? [] : await readLists(crlFile);
  return {
    ca,
    authorities: new Set(authorities.map(({ fingerprint256 }) => fingerprint256)),
    revoked: revokedBy(lists, authorities, crlFile ?? ""),
    isOwn: caFile === undefined,
    notAfter: new Date(Math.min(...authorities.map(({ validToDate }) => validToDate.getTime()))),
    nextUpdate: lists.flatMap(({ nextUpdate }) => nextUpdate ?? []).toSorted((a, b) => a - b)[0],
    hasLists: crlFile !== undefined,
    since: previous === undefined ? 0 : previous.ca === ca ? previous.since : now,
  };
}

function revokedBy(lists: readonly RevocationList[], authorities: readonly X509Certificate[], file: string): ClientTrust["revoked"] {
  const revoked = new Map<string, Set<string>>();
  for (const list of lists)
    for (const issuer of issuersOf(list, authorities, file)) {
      const serials = revoked.get(issuer) ?? new Set();
      for (const serial of list.serials) serials.add(serial);
      revoked.set(issuer, serials);
    }
  return revoked;
}

function issuersOf(list: RevocationList, authorities: readonly X509Certificate[], file: string): string[] {
  const issuers = authorities.filter(({ publicKey }) => {
    try {
      return list.isSignedBy(publicKey);
    } catch {
      // A key of another kind than the signature.
      return false;
    }
  });
  if (issuers.length > 0) return issuers.map(({ fingerprint256 }) => fingerprint256);
  throw new SetupError(
    "a certificate revocation list is signed by none of the authorities whose client certificates are taken",
    file,
    "give the list of the authority in HEXA_MQTT_CLIENT_CA_FILE; intermediate authorities belong into that file too",
  );
}

function parseAuthorities(pem: string, file: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const mend = "give a PEM file of one or more certificates of authorities";
  try {
    const authorities = blocks.map((block) => new X509Certificate(block));
    const isWhole = authorities.length > 0 && authorities.length === pem.split("-----BEGIN CERTIFICATE-----").length - 1;
    if (isWhole && authorities.every((one) => one.ca)) return authorities;
  } catch (cause) {
    throw new SetupError("the client certificates' authority is not valid PEM", file, mend, { cause });
  }
  throw new SetupError("the client certificates' authority is none, or is not whole", file, mend);
}

async function readLists(file: string): Promise<RevocationList[]> {
  try {
    return parseRevocationLists(await readFile(file));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SetupError(`the certificate revocation list cannot be used: ${why}`, file, "give a whole list in PEM or DER", { cause });
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("the client certificates' authority cannot be read", file, "correct the path or the file's rights", { cause });
  }
}
