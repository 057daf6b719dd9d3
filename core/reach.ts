import type { Config } from "./config.ts";

/** The name under which clients reach the hub: it stands in their URLs and in the certificate. `hostname` is the machine's. */
export function publicName({ publicUrl, host }: Pick<Config, "publicUrl" | "host">, hostname: string): string {
  if (publicUrl !== undefined) return new URL(publicUrl).hostname;
  return host === "0.0.0.0" || host === "::" ? hostname : host;
}

/** The hub's own authority signs the certificate of MQTT over TLS, or those of the devices. */
export function usesOwnAuthority({
  tlsCertFile,
  mqttClientCerts,
  mqttClientCaFile,
}: Pick<Config, "tlsCertFile" | "mqttClientCerts" | "mqttClientCaFile">): boolean {
  return tlsCertFile === undefined || (mqttClientCerts !== "off" && mqttClientCaFile === undefined);
}

/** Where MQTT clients find the hub under that name; null for a listener that is off. */
export function mqttUrls(
  { publicUrl, mqttPlain }: Pick<Config, "publicUrl" | "mqttPlain">,
  name: string,
  { mqttPort, mqttsPort, api }: { readonly mqttPort: number | undefined; readonly mqttsPort: number; readonly api: string },
): { readonly mqtt: string | null; readonly mqtts: string; readonly ws: string } {
  return {
    mqtt: mqttPort === undefined ? null : `mqtt://${mqttPlain === "lan" ? name : "127.0.0.1"}:${mqttPort}`,
    mqtts: `mqtts://${name}:${mqttsPort}`,
    ws: `${(publicUrl ?? api).replace(/^http/, "ws")}/mqtt`,
  };
}
