import type { Config } from "../core/config.ts";
import type { ApiSettings } from "./context.ts";

export interface ApiPlace {
  /** Known once the listeners are open; null for one that is off. */
  readonly urls: { readonly mqtt: string | null; readonly mqtts: string | null; readonly ws: string | null };
  readonly caFile: string;
  readonly operatorToken: string;
  readonly version: string;
}

/** What the API takes of the hub's configuration, and where the hub is. */
export function apiSettingsOf(config: Config, { urls, ...place }: ApiPlace): ApiSettings {
  return {
    ...place,
    host: config.host,
    port: config.httpPort,
    publicUrl: config.publicUrl,
    mqttUrl: () => urls.mqtt,
    mqttsUrl: () => urls.mqtts,
    wssUrl: () => urls.ws,
    provisionKey: config.provisionKey,
    enforceHttps: config.enforceHttps,
    trustProxy: config.trustProxy,
    apiOrigins: config.apiOrigins,
    accessTokenTtlMs: config.accessTokenTtlS * 1_000,
    loginTtlMs: config.loginTtlS * 1_000,
    registration: config.registration,
    importMaxBytes: config.importMaxBytes,
    readingRetentionDays: config.readingRetentionDays,
  };
}
