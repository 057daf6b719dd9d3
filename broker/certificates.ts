import { createPrivateKey, randomBytes, X509Certificate } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { SetupError } from "../core/errors.ts";
import { type CertifiedKey, issueServerCertificate, makeAuthority } from "./certificate-authority.ts";
import { stampOf } from "./reloaded.ts";

export interface CertificateOptions {
  /** Where the hub's own authority and certificate live; made when absent. */
  readonly dir: string;
  /** Names and IP addresses under which clients reach the hub; this machine's name and the loopback are added. */
  readonly hostnames: readonly string[];
  /** PEM files to be used as they are, both or neither. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** ms since 1970. */
  readonly now?: (() => number) | undefined;
}

export interface Certificates {
  /** PEM; a given file may hold its chain. */
  readonly cert: string;
  readonly key: string;
  /** Path of what a client must trust: the hub's authority, or the given certificate's own file. */
  readonly caFile: string;
  readonly notAfter: Date;
}

export interface WatchOptions extends CertificateOptions {
  /** What is served already; without it the first certificate that can be read counts as that. */
  readonly current?: Certificates | undefined;
  /** How often the files are looked at. */
  readonly pollMs?: number | undefined;
  /** Hears once of each reason why a change cannot be used; the last good certificate stays. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

const RENEW_BEFORE_MS = 30 * 86_400_000;
const RENEWAL_CHECK_MS = 86_400_000;

/**
 * The certificate for every TLS listener: the given one, or one of the hub's own authority, which is made at the first
 * start and signs a new certificate when fewer than 30 days remain or the names change.
 * Throws `SetupError` for files that cannot be read, do not belong together or have expired.
 */
export async function ensureCertificates(options: CertificateOptions): Promise<Certificates> {
  const now = (options.now ?? Date.now)();
  const { certFile, keyFile } = options;
  if (certFile === undefined && keyFile === undefined) return ownCertificates(options, now);
  if (certFile === undefined || keyFile === undefined)
    throw new SetupError(
      "a TLS certificate and its key must be given together",
      certFile ?? keyFile ?? "",
      "give both files, or neither to use the hub's own authority",
    );
  return givenCertificates(certFile, keyFile, now);
}

/**
 * Calls `onChange` with the certificate now to be used whenever its files change or the hub's own is renewed, so that
 * listeners can take it without a restart. Looks at the files every 10 s, at the remaining time once a day.
 */
export function watchCertificates(options: WatchOptions, onChange: (certificates: Certificates) => void): AsyncDisposable {
  const files = filesOf(options);
  const clock = options.now ?? Date.now;
  let seen: string | undefined;
  let served = options.current === undefined ? undefined : options.current.cert + options.current.key;
  let reported: string | undefined;
  let checkedAt = clock();
  let running: Promise<void> = Promise.resolve();
  let busy = false;

  const look = async (): Promise<void> => {
    const stamp = await stampOf(files);
    const at = clock();
    if (stamp === seen && at - checkedAt < RENEWAL_CHECK_MS) return;
    try {
      const fresh = await ensureCertificates(options);
      // Renewal itself changes the files.
      seen = await stampOf(files);
      checkedAt = at;
      reported = undefined;
      const identity = fresh.cert + fresh.key;
      const changed = served !== undefined && served !== identity;
      served = identity;
      if (changed) onChange(fresh);
    } catch (error) {
      // Half of a pair may be written already: the next look sees the rest, and then it is a change in any case.
      seen = undefined;
      served ??= "";
      const reason = String(error);
      if (reason !== reported) options.onError?.(error);
      reported = reason;
    }
  };
  const turn = (): void => {
    if (busy) return;
    busy = true;
    running = look().finally(() => {
      busy = false;
    });
  };
  turn();
  const timer = setInterval(turn, options.pollMs ?? 10_000).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
}

/** The hub's own authority, PEM; made when there is none. Throws `SetupError` when it has expired or cannot be read or written. */
export async function ensureAuthority(dir: string, now: number): Promise<string> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return await ownAuthority(ownFiles(dir), now);
  } catch (cause) {
    if (cause instanceof SetupError) throw cause;
    throw new SetupError("the hub's certificate authority cannot be made or read", dir, "make the folder writable for the hub", { cause });
  }
}

/** The authority with its key, for signing. Throws `SetupError` when the key is not there. */
export async function readAuthority(dir: string, now: number): Promise<CertifiedKey> {
  const cert = await ensureAuthority(dir, now);
  return { cert, key: await authorityKey(ownFiles(dir), cert) };
}

/** Puts this authority in the place of the folder's own one, which stays beside it under another name. */
export async function replaceAuthority(dir: string, { cert, key }: CertifiedKey): Promise<void> {
  const files = ownFiles(dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const [oldCert, oldKey] = await Promise.all([readIfThere(files.ca), readIfThere(files.caKey)]);
  if (oldCert === cert && oldKey === key) return;
  const suffix = `.replaced-${randomBytes(4).toString("hex")}`;
  if (oldKey !== undefined && oldKey !== key) await rename(files.caKey, files.caKey + suffix);
  if (oldCert !== undefined && oldCert !== cert) await rename(files.ca, files.ca + suffix);
  await writeWhole(files.caKey, key, 0o600);
  await writeWhole(files.ca, cert, 0o644);
}

/** Where the hub's own authority stands in its folder. */
export const authorityFile = (dir: string): string => ownFiles(dir).ca;

/** A certificate and its key as one reads them from files. Throws `SetupError` when they cannot be used. */
export async function readCertifiedKey(
  certFile: string,
  keyFile: string,
  now: number,
): Promise<CertifiedKey & { readonly notAfter: Date }> {
  return givenCertificates(certFile, keyFile, now);
}

interface OwnFiles {
  readonly ca: string;
  readonly caKey: string;
  readonly cert: string;
  readonly key: string;
}

function ownFiles(dir: string): OwnFiles {
  return { ca: join(dir, "ca.pem"), caKey: join(dir, "ca-key.pem"), cert: join(dir, "server.pem"), key: join(dir, "server-key.pem") };
}

function filesOf(options: CertificateOptions): string[] {
  if (options.certFile !== undefined && options.keyFile !== undefined) return [options.certFile, options.keyFile];
  return Object.values(ownFiles(options.dir));
}

async function givenCertificates(certFile: string, keyFile: string, now: number): Promise<Certificates> {
  const mend = "correct the path or the file's rights; the hub reads PEM";
  const cert = await readGiven(certFile, mend);
  const key = await readGiven(keyFile, mend);
  const parsed = parseCertificate(cert, certFile);
  if (!matches(parsed, key, keyFile))
    throw new SetupError(
      "the TLS key does not belong to the certificate",
      `${certFile}, ${keyFile}`,
      "give the key the certificate was issued for; in a chain the server's own certificate comes first",
    );
  if (parsed.validToDate.getTime() <= now)
    throw new SetupError(
      `the TLS certificate expired on ${parsed.validToDate.toISOString()}`,
      certFile,
      "renew it, or leave both files out to use the hub's own authority",
    );
  return { cert, key, caFile: certFile, notAfter: parsed.validToDate };
}

async function readGiven(file: string, mend: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("a TLS file cannot be read", file, mend, { cause });
  }
}

async function ownCertificates(options: CertificateOptions, now: number): Promise<Certificates> {
  const files = ownFiles(options.dir);
  const names = namesFor(options.hostnames);
  try {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    const ca = await ownAuthority(files, now);
    const old = await readPair(files.cert, files.key);
    if (old && isUsable(old, ca, names, now)) return { ...old, caFile: files.ca, notAfter: new X509Certificate(old.cert).validToDate };
    const fresh = await issueServerCertificate({ cert: ca, key: await authorityKey(files, ca) }, names, now);
    // A crash between the two leaves a pair that does not match, and that is made anew.
    await writeWhole(files.key, fresh.key, 0o600);
    await writeWhole(files.cert, fresh.cert, 0o644);
    return { ...fresh, caFile: files.ca, notAfter: new X509Certificate(fresh.cert).validToDate };
  } catch (cause) {
    if (cause instanceof SetupError) throw cause;
    throw new SetupError("the hub's TLS certificate cannot be made or read", options.dir, "make the folder writable for the hub", {
      cause,
    });
  }
}

/** The authority's certificate. Its key is read only when something is to be signed, so that it may be kept elsewhere meanwhile. */
async function ownAuthority(files: OwnFiles, now: number): Promise<string> {
  const cert = await readIfThere(files.ca);
  if (cert === undefined) {
    const fresh = await makeAuthority(now);
    // The certificate last: it is what says that there is an authority.
    await writeWhole(files.caKey, fresh.key, 0o600);
    await writeWhole(files.ca, fresh.cert, 0o644);
    return fresh.cert;
  }
  const parsed = parseCertificate(cert, files.ca);
  if (parsed.validToDate.getTime() <= now)
    throw new SetupError(
      `the hub's certificate authority expired on ${parsed.validToDate.toISOString()}`,
      files.ca,
      "delete ca.pem and ca-key.pem to have a new one made, and give its ca.pem to the clients",
    );
  return cert;
}

async function authorityKey(files: OwnFiles, ca: string): Promise<string> {
  const key = await readIfThere(files.caKey);
  if (key !== undefined && matches(new X509Certificate(ca), key, files.caKey)) return key;
  const what =
    key === undefined ? "the certificate authority's key is missing" : "the certificate authority's key does not belong to ca.pem";
  throw new SetupError(
    what,
    files.caKey,
    "restore it from the backup, or delete ca.pem and ca-key.pem to have a new authority made, and give its ca.pem to the clients",
  );
}

function isUsable(pair: CertifiedKey, ca: string, names: readonly string[], now: number): boolean {
  try {
    const cert = new X509Certificate(pair.cert);
    const issuer = new X509Certificate(ca);
    const endsWithIssuer = cert.validToDate.getTime() >= issuer.validToDate.getTime();
    const hasTime = cert.validToDate.getTime() - now >= RENEW_BEFORE_MS || (endsWithIssuer && cert.validToDate.getTime() > now);
    return (
      hasTime &&
      cert.validFromDate.getTime() <= now &&
      cert.verify(issuer.publicKey) &&
      cert.checkPrivateKey(createPrivateKey(pair.key)) &&
      isFor(cert, names)
    );
  } catch {
    return false;
  }
}

/** Whether the certificate names exactly these. */
function isFor(cert: X509Certificate, names: readonly string[]): boolean {
  const entries = (cert.subjectAltName ?? "").split(", ");
  return (
    entries.length === names.length &&
    names.every((name) => (isIP(name) ? cert.checkIP(name) !== undefined : entries.includes(`DNS:${name}`)))
  );
}

const DNS_NAME = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

function namesFor(hostnames: readonly string[]): string[] {
  const given = hostnames.map((name) =>
    name
      .trim()
      .toLowerCase()
      .replace(/^\[(.*)\]$/, "$1"),
  );
  const bad = given.find((name) => !isName(name));
  if (bad !== undefined)
    throw new SetupError(
      `"${bad}" is neither a host name nor an IP address`,
      "the hub's TLS host names",
      "give names such as hub.example.org or addresses such as 192.168.1.10",
    );
  const machine = hostname().toLowerCase();
  return [...new Set([...given, ...(isName(machine) ? [machine] : []), "localhost", "127.0.0.1", "::1"])];
}

function isName(name: string): boolean {
  return isIP(name) !== 0 || (name.length <= 253 && DNS_NAME.test(name));
}

function parseCertificate(cert: string, file: string): X509Certificate {
  try {
    return new X509Certificate(cert);
  } catch (cause) {
    throw new SetupError(
      "the TLS certificate is not valid PEM",
      file,
      "give a file that begins with BEGIN CERTIFICATE, the server's own certificate first",
      { cause },
    );
  }
}

function matches(cert: X509Certificate, key: string, keyFile: string): boolean {
  try {
    return cert.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new SetupError(
      "the TLS key is not a valid, unencrypted PEM key",
      keyFile,
      "give a file that begins with BEGIN PRIVATE KEY and has no passphrase",
      { cause },
    );
  }
}

async function readPair(certFile: string, keyFile: string): Promise<CertifiedKey | undefined> {
  const [cert, key] = await Promise.all([readIfThere(certFile), readIfThere(keyFile)]);
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Readers see the old file or the whole new one, also after a power cut. */
async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  const draft = join(dirname(file), `.${randomBytes(6).toString("hex")}.tmp`);
  const handle = await open(draft, "wx", mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}
