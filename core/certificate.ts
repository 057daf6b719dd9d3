/** What the API needs of the hub's certificate authority. */
export interface DeviceCertificates {
  /**
   * A client certificate for the device `uid`, for the key that signed `csr` (PEM, PKCS #10); names and extensions it asks
   * for are ignored. Valid for `days`, never longer than the authority. Throws a HubError: `validation_error` for a
   * request that cannot be used, `conflict` when the certificates of this hub's devices come from elsewhere.
   */
  issue(request: { readonly uid: string; readonly csr: string; readonly days: number }): Promise<IssuedCertificate>;
}

export interface IssuedCertificate {
  /** PEM. */
  readonly certificate: string;
  /** PEM of the authority that signed it. */
  readonly ca: string;
  /** SHA-256 of the certificate in DER: hexadecimal, small letters, no colons. */
  readonly fingerprint: string;
  /** Hexadecimal, capitals. */
  readonly serialNumber: string;
  /** ms since 1970. */
  readonly notAfter: number;
}

/** Apple's and the browsers' limit for a certificate of a private authority, and a sound one for devices. */
export const MAX_CERTIFICATE_DAYS = 825;
/** Thirteen months: a year, and a month to renew. */
export const CERTIFICATE_DAYS = 397;

/** How a device's certificate says which device it is, beside its common name. */
export const deviceUrn = (uid: string): string => `urn:hexahub:device:${uid}`;
