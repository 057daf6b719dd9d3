import { constants, randomBytes, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions, type Server, type TLSSocket, type TlsOptions as ServerOptions } from "node:tls";
import type { Log, Metrics } from "../core/bus.ts";
import { createExpiryAlarm, type Expiry } from "./certificate-expiry.ts";
import { type CertificateOptions, ensureCertificates, watchCertificates } from "./certificates.ts";
import { type ClientTrust, clientTrustFiles, loadClientTrust } from "./client-trust.ts";
import { createPeerCheck } from "./peer-check.ts";
import { openReloaded, type Reloaded } from "./reloaded.ts";
import { chooseByName, hostFiles, type HostCertificates, readHostCertificates } from "./server-names.ts";

export interface TlsOptions {
  readonly certificates: CertificateOptions;
  /** Whether clients are asked for a certificate, and whether they need one. */
  readonly clientCertificates: "off" | "optional" | "required";
  /** PEM of the authorities of client certificates; without it the hub's own. */
  readonly clientCaFile?: string | undefined;
  /** Revocation lists, PEM or DER. */
  readonly crlFile?: string | undefined;
  /** Folder of certificates by host name. */
  readonly sniDir?: string | undefined;
  /** How often the files are looked at. */
  readonly pollMs?: number | undefined;
  readonly handshakeTimeoutMs?: number | undefined;
  readonly log?: Log | undefined;
  readonly metrics?: Metrics | undefined;
  /** ms since 1970. */
  readonly clock?: (() => number) | undefined;
  /** Hears of live connections whose certificates (SHA-256, hexadecimal) ended or were taken back, before they are closed. */
  readonly onRevoked?: ((fingerprints: ReadonlySet<string>) => Promise<unknown>) | undefined;
}

/** TLS of one listener: what it serves, whom it takes, and how both change without a restart. */
export interface Tls extends AsyncDisposable {
  readonly serverOptions: ServerOptions;
  /** Path of what clients must trust. */
  readonly caFile: string;
  /** From now on the server follows the files. */
  keep(server: Server): void;
  /** Asked once a connection, after its handshake; a socket that is refused is destroyed. */
  admits(socket: TLSSocket): boolean;
  /** When each certificate ends. */
  expiries(): readonly Expiry[];
}

/** AEAD with forward secrecy only; the client chooses, since a small device knows best which it does in hardware. */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");
const BASE: SecureContextOptions = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  ciphers: CIPHERS,
  honorCipherOrder: false,
  // A renegotiation would cost us a handshake, and could change who the client is.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  // The default is a hash of the command line; contexts by host name need the same one.
  sessionIdContext: "hexahub-mqtt",
  sessionTimeout: 4 * 3_600,
};
const TICKET_KEY_MS = 86_400_000;
const POLL_MS = 10_000;
const HANDSHAKE_MS = 10_000;
const NO_HOSTS: HostCertificates = new Map();

type Clock = () => number;
type OnError = (error: unknown) => void;

/** Throws `SetupError` for files that cannot be used; certificates by host name are only logged. */
export async function openTls(options: TlsOptions): Promise<Tls> {
  const stack = new AsyncDisposableStack();
  const { log, clock = Date.now, pollMs = POLL_MS } = options;
  const onError = (error: unknown): void => log?.error({ err: error }, "a changed TLS file cannot be used; the old one stays");
  let served = await ensureCertificates(options.certificates);
  const isOwn = options.certificates.certFile === undefined;
  const authorityEnds = isOwn ? new X509Certificate(await readFile(served.caFile)).validToDate : undefined;
  const trust = await openTrust(options, clock, onError);
  const hosts = await openHosts(options, clock, onError);
  const peers = createPeerCheck({ ...options, clock, trust: () => trust?.value });
  const alarm = log && createExpiryAlarm(log);

  let tickets = { keys: randomBytes(48), since: clock() };
  let contexts = new Map<string, ReturnType<typeof createSecureContext>>();
  let server: Server | undefined;
  const secure = (pair: { cert: string; key: string }): SecureContextOptions & { ticketKeys: Buffer } => ({
    ...BASE,
    cert: pair.cert,
    key: pair.key,
    ticketKeys: tickets.keys,
    ...(trust && { ca: trust.value.ca }),
  });
  const apply = (): void => {
    contexts = new Map([...(hosts?.value ?? NO_HOSTS)].map(([host, pair]) => [host, createSecureContext(secure(pair))]));
    server?.setSecureContext(secure(served));
  };
  const expiries = (): Expiry[] => [
    { name: "server", notAfter: served.notAfter, renewsItself: isOwn },
    ...(authorityEnds ? [{ name: "ca", notAfter: authorityEnds }] : []),
    ...(trust && !(trust.value.isOwn && isOwn) ? [{ name: "client-ca", notAfter: trust.value.notAfter }] : []),
    ...[...(hosts?.value ?? NO_HOSTS)].map(([host, { notAfter }]) => ({ name: `sni:${host}`, notAfter })),
  ];
  const look = async (): Promise<void> => {
    const ca = trust?.value.ca;
    await trust?.refresh();
    const isNewHosts = (await hosts?.refresh()) ?? false;
    // Tickets stand for a check of the client's certificate: they end with the authorities it was checked against.
    const isNewKey = trust?.value.ca !== ca || clock() - tickets.since > TICKET_KEY_MS;
    if (isNewKey) tickets = { keys: randomBytes(48), since: clock() };
    if (isNewKey || isNewHosts) apply();
    await peers.sweep();
    alarm?.(expiries(), clock());
  };
  apply();
  return {
    serverOptions: {
      ...secure(served),
      requestCert: options.clientCertificates !== "off",
      // Judged by `admits`, which can say why, and knows what OpenSSL does not.
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_MS,
      SNICallback: (name, done) => done(null, chooseByName(contexts, name)),
    },
    caFile: served.caFile,
    keep(kept) {
      server = kept;
      stack.use(
        watchCertificates({ ...options.certificates, current: served, pollMs, onError }, (fresh) => {
          served = fresh;
          log?.info({ notAfter: fresh.notAfter }, "a new TLS certificate is served");
          apply();
        }),
      );
      stack.use(repeat(look, pollMs, onError));
    },
    admits: (socket) => peers.admits(socket),
    expiries,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function openTrust(options: TlsOptions, clock: Clock, onError: OnError): Promise<Reloaded<ClientTrust> | undefined> {
  if (options.clientCertificates === "off") return undefined;
  const sources = { dir: options.certificates.dir, caFile: options.clientCaFile, crlFile: options.crlFile };
  return openReloaded({
    files: async () => clientTrustFiles(sources),
    load: (previous) => loadClientTrust(sources, clock(), previous),
    onError,
  });
}

async function openHosts({ sniDir, log }: TlsOptions, clock: Clock, onError: OnError): Promise<Reloaded<HostCertificates> | undefined> {
  if (sniDir === undefined) return undefined;
  let told = new Map<string, string>();
  return openReloaded({
    files: () => hostFiles(sniDir),
    async load(previous = NO_HOSTS) {
      const reasons = new Map<string, string>();
      const onHostError = (host: string, error: unknown): void => {
        reasons.set(host, String(error));
        if (told.get(host) !== String(error)) log?.error({ err: error, host }, "a TLS certificate of a host name cannot be used");
      };
      const hosts = await readHostCertificates(sniDir, previous, { now: clock(), onError: onHostError });
      told = reasons;
      return hosts;
    },
    onError,
  });
}

/** One turn after the other; the last one is waited for. */
function repeat(turn: () => Promise<void>, everyMs: number, onError: OnError): AsyncDisposable {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= turn()
      .catch(onError)
      .finally(() => {
        running = undefined;
      });
  }, everyMs).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
}
