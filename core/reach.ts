import type { Config } from "./config.ts";
import { HubError } from "./errors.ts";

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

/** Where MQTT listens; undefined for a listener that is off. */
export function mqttPlaces({ host, mqttPort, mqttsPort, mqttPlain, mqttTls, mqttWebsocket }: Config) {
  const hostOf = (where: Config["mqttPlain"]): string | undefined => ({ loopback: "127.0.0.1", lan: host, off: undefined })[where];
  return { plainHost: hostOf(mqttPlain), host: hostOf(mqttTls), mqttPort, mqttsPort, isWebSocketOff: mqttWebsocket === "off" };
}

/** null for a listener that is off. */
export interface MqttUrls {
  readonly mqtt: string | null;
  readonly mqtts: string | null;
  readonly ws: string | null;
}

/** Where MQTT clients find the hub under that name. */
export function mqttUrls(
  { publicUrl, mqttPlain, mqttTls, mqttWebsocket }: Pick<Config, "publicUrl" | "mqttPlain" | "mqttTls" | "mqttWebsocket">,
  name: string,
  { mqttPort, mqttsPort, api }: { readonly mqttPort: number | undefined; readonly mqttsPort: number | undefined; readonly api: string },
): MqttUrls {
  const nameFor = (where: Config["mqttPlain"]): string => (where === "lan" ? name : "127.0.0.1");
  return {
    mqtt: mqttPort === undefined ? null : `mqtt://${nameFor(mqttPlain)}:${mqttPort}`,
    mqtts: mqttsPort === undefined ? null : `mqtts://${nameFor(mqttTls)}:${mqttsPort}`,
    ws: mqttWebsocket === "off" ? null : `${(publicUrl ?? api).replace(/^http/, "ws")}/mqtt`,
  };
}

/** How the hub's own devices come to it. Throws `conflict`. */
export function ownMqttUrl({ mqtt, mqtts }: MqttUrls): string {
  const url = mqtts ?? mqtt;
  if (url === null) throw new HubError("conflict", "the hub listens for no MQTT: see HEXA_MQTT_TLS and HEXA_MQTT_PLAIN");
  return url;
}
