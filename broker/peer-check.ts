import type { TLSSocket } from "node:tls";
import {
  type CertificateFault,
  type ClientCertificate,
  faultOf,
  readClientCertificate,
  rememberCertificate,
} from "./client-certificates.ts";
import type { ClientTrust } from "./client-trust.ts";
import type { TlsOptions } from "./tls.ts";

export type PeerCheckOptions = Pick<TlsOptions, "clientCertificates" | "log" | "metrics" | "onRevoked"> & {
  readonly clock: () => number;
  /** undefined when nobody is asked for a certificate. */
  readonly trust: () => ClientTrust | undefined;
};

/** Whether the peers of TLS connections may be there: at the handshake, and for as long as they stay. */
export interface PeerCheck {
  admits(socket: TLSSocket): boolean;
  /** Ends the connections whose certificates ended or were taken back since. */
  sweep(): Promise<void>;
}

/** A good-bye takes no longer than this; then the connection ends without. */
const GOODBYE_MS = 500;
/** A handshake may have begun before the authorities changed, and been checked by those; none takes longer. */
const SETTLING_MS = 10_000;

export function createPeerCheck({ clientCertificates, clock, trust, log, metrics, onRevoked }: PeerCheckOptions): PeerCheck {
  const live = new Map<TLSSocket, ClientCertificate>();
  let overdue: number | undefined;

  const refuse = (socket: TLSSocket, reason: CertificateFault | "missing"): false => {
    metrics?.count("hexahub_tls_clients_refused_total", { reason });
    const detail = socket.authorizationError ? String(socket.authorizationError) : undefined;
    log?.info({ remoteAddress: socket.remoteAddress, reason, detail }, "a TLS client was refused");
    socket.destroy();
    return false;
  };
  const tellOverdue = ({ nextUpdate }: ClientTrust, now: number): void => {
    if (nextUpdate === undefined || nextUpdate >= now || nextUpdate === overdue) return;
    overdue = nextUpdate;
    log?.warn({ nextUpdate: new Date(nextUpdate).toISOString() }, "the certificate revocation list is overdue; the old one stays in force");
  };
  return {
    admits(socket) {
      const trusted = trust();
      if (!trusted) return true;
      const now = clock();
      const certificate = readClientCertificate(socket, trusted);
      if (certificate === undefined) return clientCertificates === "required" ? refuse(socket, "missing") : true;
      if (certificate === "unverified") return refuse(socket, "unverified");
      const isUnsettled = certificate.root === undefined && now < trusted.since + SETTLING_MS;
      const fault = isUnsettled ? "unverified" : faultOf(certificate, trusted, now);
      if (fault) return refuse(socket, fault);
      live.set(socket, certificate);
      socket.once("close", () => live.delete(socket));
      rememberCertificate(socket, certificate);
      return true;
    },
    async sweep() {
      const trusted = trust();
      if (!trusted) return;
      const now = clock();
      tellOverdue(trusted, now);
      const ended = [...live].filter(([, certificate]) => faultOf(certificate, trusted, now) !== undefined);
      if (ended.length === 0) return;
      log?.info({ connections: ended.length }, "connections are closed whose certificates ended or were taken back");
      metrics?.count("hexahub_tls_clients_ended_total", {}, ended.length);
      const fingerprints = new Set(ended.map(([, { fingerprint }]) => fingerprint));
      await withLimit(onRevoked?.(fingerprints)).catch((error: unknown) =>
        log?.error({ err: error }, "sessions could not be ended in order"),
      );
      for (const [socket] of ended) socket.destroy();
    },
  };
}

async function withLimit(work: Promise<unknown> | undefined): Promise<void> {
  const limit = AbortSignal.timeout(GOODBYE_MS);
  await Promise.race([work, new Promise<void>((resolve) => limit.addEventListener("abort", () => resolve(), { once: true }))]);
}
