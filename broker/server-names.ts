import { X509Certificate } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SetupError } from "../core/errors.ts";
import type { CertifiedKey } from "./certificate-authority.ts";
import { readCertifiedKey } from "./certificates.ts";

/** A certificate for one host name, or for all of one level: `hub.example.org`, `*.example.org`. */
export interface HostCertificate extends CertifiedKey {
  readonly notAfter: Date;
}

export type HostCertificates = ReadonlyMap<string, HostCertificate>;

/** The certificate and key files of the folder; each host has `<host>.crt` and `<host>.key`. */
export async function hostFiles(dir: string): Promise<readonly string[]> {
  try {
    const names = await readdir(dir);
    return names
      .filter((name) => /\.(crt|key)$/.test(name))
      .toSorted()
      .map((name) => join(dir, name));
  } catch (cause) {
    throw new SetupError("the folder of the certificates by host name cannot be read", dir, "correct the path or its rights", { cause });
  }
}

/**
 * The folder's certificates by host name. `_` may stand for the `*` of a wildcard in a file's name. A pair that cannot
 * be used goes to `onError`, and the one of `previous` stays; a pair that is gone is gone.
 */
export async function readHostCertificates(
  dir: string,
  previous: HostCertificates,
  { now, onError }: { readonly now: number; readonly onError: (host: string, error: unknown) => void },
): Promise<HostCertificates> {
  const bases = new Set((await hostFiles(dir)).map((file) => file.slice(0, -".crt".length)));
  const found = new Map<string, HostCertificate>();
  for (const base of bases) {
    const host = hostOf(base.slice(join(dir, "/").length));
    try {
      found.set(host, await readHostCertificate(base, host, now));
    } catch (error) {
      onError(host, error);
      const old = previous.get(host);
      if (old) found.set(host, old);
    }
  }
  return found;
}

/** What serves that name: the very name before the wildcard of its level. */
export function chooseByName<T>(hosts: ReadonlyMap<string, T>, serverName: string): T | undefined {
  const name = serverName.toLowerCase();
  return hosts.get(name) ?? hosts.get(`*${name.slice(name.indexOf("."))}`);
}

const hostOf = (fileName: string): string => fileName.toLowerCase().replace(/^_\./, "*.");

async function readHostCertificate(base: string, host: string, now: number): Promise<HostCertificate> {
  const certFile = `${base}.crt`;
  const read = await readCertifiedKey(certFile, `${base}.key`, now);
  // For a wildcard any name of its level will do.
  if (new X509Certificate(read.cert).checkHost(host.replace(/^\*\./, "any.")) === undefined)
    throw new SetupError(
      `the TLS certificate is not for ${host}`,
      certFile,
      "name the two files after the host name that stands in the certificate",
    );
  return read;
}
