/** What went wrong with a broker elsewhere, in words for whoever set it up. */
export interface RemoteFault {
  readonly code: string;
  readonly message: string;
}

const WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the broker's certificate has expired",
  CERT_NOT_YET_VALID: "the broker's certificate is not valid yet; is the hub's clock right?",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the broker's certificate is signed by itself: give it to the hub in HA_MQTT_CA_FILE",
  SELF_SIGNED_CERT_IN_CHAIN:
    "the hub does not know who signed the broker's certificate: give it that authority's certificate in HA_MQTT_CA_FILE",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the hub does not know who signed the broker's certificate: give it that authority's certificate in HA_MQTT_CA_FILE",
  UNABLE_TO_GET_ISSUER_CERT:
    "the hub does not know who signed the broker's certificate: give it that authority's certificate in HA_MQTT_CA_FILE",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the hub does not know who signed the broker's certificate: give it that authority's certificate in HA_MQTT_CA_FILE",
  ERR_TLS_CERT_ALTNAME_INVALID: "the broker's certificate is for another name: use that name in HA_MQTT_URL or HA_MQTT_SNI_SERVERNAME",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "the broker wants a client certificate: HA_MQTT_CERT_FILE and HA_MQTT_KEY_FILE",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "the broker does not know who signed the hub's client certificate (HA_MQTT_CERT_FILE)",
  ERR_SSL_TLSV1_UNKNOWN_CA: "the broker does not know who signed the hub's client certificate (HA_MQTT_CERT_FILE)",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the broker does not take the hub's client certificate (HA_MQTT_CERT_FILE)",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "the hub's client certificate has expired (HA_MQTT_CERT_FILE)",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: "the hub's client certificate was revoked (HA_MQTT_CERT_FILE)",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: "the broker refuses the TLS handshake; it may want a client certificate (HA_MQTT_CERT_FILE)",
  ERR_SSL_WRONG_VERSION_NUMBER: "there is no TLS at that port: is it mqtt:// that HA_MQTT_URL should begin with?",
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: "HA_MQTT_KEY_FILE is not the key of HA_MQTT_CERT_FILE",
  ERR_OSSL_BAD_DECRYPT: "HA_MQTT_KEY_PASSPHRASE is not the passphrase of HA_MQTT_KEY_FILE",
  ERR_MISSING_PASSPHRASE_FOR_ENCRYPTED_KEY: "HA_MQTT_KEY_FILE takes a passphrase: HA_MQTT_KEY_PASSPHRASE",
  ENOENT: "a file of HA_MQTT_CA_FILE, HA_MQTT_CERT_FILE or HA_MQTT_KEY_FILE is not there",
  EACCES: "a file of HA_MQTT_CA_FILE, HA_MQTT_CERT_FILE or HA_MQTT_KEY_FILE may not be read by the hub",
  ECONNREFUSED: "nobody listens at HA_MQTT_URL",
  ENOTFOUND: "the host of HA_MQTT_URL is not known",
  EAI_AGAIN: "the host of HA_MQTT_URL could not be looked up",
  EHOSTUNREACH: "the host of HA_MQTT_URL cannot be reached",
  ENETUNREACH: "the host of HA_MQTT_URL cannot be reached",
  ETIMEDOUT: "the broker of HA_MQTT_URL does not answer",
  ECONNRESET: "the broker ended the connection; over TLS it may want a client certificate (HA_MQTT_CERT_FILE)",
};

/** CONNACK's codes of both versions of MQTT. */
const REFUSALS: Readonly<Record<number, string>> = {
  2: "the broker does not take the hub's client id",
  3: "the broker is not ready",
  4: "the broker does not take HA_MQTT_USERNAME and HA_MQTT_PASSWORD",
  5: "the broker does not let the hub in: check HA_MQTT_USERNAME and what it may do there",
  134: "the broker does not take HA_MQTT_USERNAME and HA_MQTT_PASSWORD",
  135: "the broker does not let the hub in: check HA_MQTT_USERNAME and what it may do there",
  136: "the broker is not ready",
  137: "the broker is busy",
  154: "the broker retains no messages (retain is off there), and Home Assistant finds devices by those",
};

export function remoteFaultOf(error: unknown): RemoteFault {
  const { code, message } = error as { readonly code?: unknown; readonly message?: string };
  if (typeof code === "number") return { code: "refused", message: REFUSALS[code] ?? `the broker refuses the hub, with code ${code}` };
  const text = typeof code === "string" ? WORDS[code] : undefined;
  if (text !== undefined) return { code: code as string, message: text };
  if (/connack timeout/i.test(message ?? "")) return { code: "ETIMEDOUT", message: WORDS["ETIMEDOUT"] as string };
  return { code: typeof code === "string" ? code : "failed", message: message || "the connection to the broker failed" };
}

const RIGHTS = "check what HA_MQTT_USERNAME may do there (docs/home-assistant.md)";

export function writeRefused(topic: string, error: unknown): RemoteFault {
  const { code } = error as { readonly code?: unknown };
  return { code: "write_refused", message: `the broker does not let the hub write ${topic} (code ${String(code)}): ${RIGHTS}` };
}

export function readRefused(filters: readonly string[]): RemoteFault {
  return {
    code: "read_refused",
    message: `the broker does not let the hub read ${filters.join(", ")}, so that nothing of it comes from Home Assistant: ${RIGHTS}`,
  };
}

export function sizeRefused(topic: string, { bytes, most }: { readonly bytes: number; readonly most: number }): RemoteFault {
  return { code: "too_large", message: `the broker takes messages of ${most} bytes at most, and ${topic} has ${bytes}: it is left out` };
}

/** The broker never said how much it takes. */
export function endsAtSize(topic: string, { bytes, ends }: { readonly bytes: number; readonly ends: number }): RemoteFault {
  return {
    code: "too_large",
    message: `the broker ended the connection ${ends} times at a message of this size: ${topic} (${bytes} bytes) is left out until all is sent again`,
  };
}
