import { X509Certificate } from "node:crypto";
import type { DeviceCertificates } from "../core/certificate.ts";
import { HubError } from "../core/errors.ts";
import { BadRequestError, issueDeviceCertificate } from "./certificate-authority.ts";
import { readAuthority } from "./certificates.ts";
import { plainHex } from "./client-certificates.ts";

export interface DeviceCertificatesOptions {
  /** Folder of the hub's own authority. */
  readonly dir: string;
  /** Devices bring certificates of this authority instead, and the hub signs none. */
  readonly clientCaFile?: string | undefined;
  /** No certificate is asked for, so that one would be of no use. */
  readonly isOff?: boolean;
  /** ms since 1970. */
  readonly clock: () => number;
}

/** Device certificates by the hub's own authority. The private key never leaves the device: it sends a request. */
export function createDeviceCertificates({ dir, clientCaFile, isOff = false, clock }: DeviceCertificatesOptions): DeviceCertificates {
  return {
    async issue(request) {
      if (isOff) throw new HubError("conflict", "the hub asks nobody for a certificate: HEXA_MQTT_CLIENT_CERTS is off");
      if (clientCaFile !== undefined)
        throw new HubError("conflict", "this hub takes certificates of the authority in HEXA_MQTT_CLIENT_CA_FILE and signs none itself");
      const now = clock();
      const authority = await readAuthority(dir, now);
      const certificate = await sign(authority, request, now);
      const { fingerprint256, serialNumber, validToDate } = new X509Certificate(certificate);
      return { certificate, ca: authority.cert, fingerprint: plainHex(fingerprint256), serialNumber, notAfter: validToDate.getTime() };
    },
  };
}

async function sign(...args: Parameters<typeof issueDeviceCertificate>): Promise<string> {
  try {
    return await issueDeviceCertificate(...args);
  } catch (error) {
    if (!(error instanceof BadRequestError)) throw error;
    throw new HubError("validation_error", error.message, { cause: error, details: [{ path: "/csr", message: error.message }] });
  }
}
