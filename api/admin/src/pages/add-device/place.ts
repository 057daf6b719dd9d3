import type { components } from "../../hub/schema.d.ts";

export type Enrolled = components["schemas"]["Enrolled"];

/** Where a device finds this hub. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** One that a device in the network reaches, where there is one; with TLS if it can be. undefined: the hub listens for no MQTT. */
export function placeOf({ mqtts_url: tls, mqtt_url: plain }: Pick<Enrolled, "mqtts_url" | "mqtt_url">): Place | undefined {
  const places = [tls, plain].flatMap((url) => (url === null ? [] : [parsePlace(url)]));
  return places.find(({ host }) => !isLoopback(host)) ?? places[0];
}

function parsePlace(url: string): Place {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port), isTls: protocol === "mqtts:" };
}

/** Reached from the hub's own machine alone. */
export const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");
