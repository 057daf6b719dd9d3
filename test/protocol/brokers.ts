import { startHub } from "../support/hub.ts";
import type { RawTarget } from "../support/raw-client.ts";
import { freePort, mosquittoMissing, startMosquitto } from "../support/services.ts";

export const BROKER_NAMES = ["hub", "mosquitto"] as const;
export type BrokerName = (typeof BROKER_NAMES)[number];

/** A broker under test, and what a client needs to use it. */
export interface Broker extends RawTarget, AsyncDisposable {
  readonly name: BrokerName;
  readonly ws: string;
  readonly account: { readonly username: string; readonly password: Buffer } | undefined;
  /** Below this the account may publish and subscribe whatever it likes; ends with a slash. */
  readonly prefix: string;
  /** The longest that a session of the account is kept, in seconds, if there is a limit. */
  readonly maxSessionExpiryS: number | undefined;
  /** Whether a client of MQTT 5 is told why its connection ends, as 4.13.1 recommends. */
  readonly tellsWhy: boolean;
  /** The account may not publish there. */
  readonly forbiddenTopic: string;
}

export const MAX_KEEPALIVE_S = 600;
export const MAX_PACKET_BYTES = 262_144;
const MAX_SESSION_EXPIRY_S = 604_800;

/** No limit that is not the subject of a test gets in the way of one. */
const HUB_SETTINGS = {
  HEXA_MQTT_KEEPALIVE_MIN_S: "1",
  HEXA_MQTT_KEEPALIVE_MAX_S: String(MAX_KEEPALIVE_S),
  HEXA_MQTT_SERVICE_SESSION_EXPIRY_S: String(MAX_SESSION_EXPIRY_S),
  HEXA_MAX_PACKET_BYTES: String(MAX_PACKET_BYTES),
  HEXA_MQTT_RETAINED_TOPICS: "100000",
  HEXA_MQTT_RETAINED_BYTES: "100000000",
};

const MOSQUITTO_SETTINGS = [
  "connection_messages false",
  `max_keepalive ${MAX_KEEPALIVE_S}`,
  `max_packet_size ${MAX_PACKET_BYTES}`,
  "max_queued_messages 1000",
];

/** Why this broker cannot be tested here; undefined when it can. */
export const brokerMissing = (name: BrokerName): string | undefined => (name === "mosquitto" ? mosquittoMissing() : undefined);

export const startBroker = (name: BrokerName): Promise<Broker> => (name === "hub" ? startHubBroker() : startMosquittoBroker());

async function startHubBroker(): Promise<Broker> {
  const hub = await startHub({ env: HUB_SETTINGS });
  await hub.api.login();
  const service = await hub.api.call<{ token: string; organization_id?: string }>("POST", "/api/v1/access-tokens", {
    kind: "service",
    name: "protocol",
  });
  const organizations = await hub.api.call<{ data: { id: string }[] }>("GET", "/api/v1/organizations");
  const organizationId = organizations.body.data[0]?.id;
  if (service.status !== 201 || organizationId === undefined) throw new Error(`no service account: ${service.status}`);
  return {
    name: "hub",
    host: "127.0.0.1",
    port: Number(new URL(hub.mqtt).port),
    ws: hub.ws,
    account: { username: "protocol", password: Buffer.from(service.body.token) },
    prefix: `hexa-app/${organizationId}/bus/`,
    maxSessionExpiryS: MAX_SESSION_EXPIRY_S,
    tellsWhy: true,
    forbiddenTopic: "hexa-app/another-organization/bus/x",
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

async function startMosquittoBroker(): Promise<Broker> {
  const wsPort = await freePort();
  const service = await startMosquitto([...MOSQUITTO_SETTINGS, `listener ${wsPort} 127.0.0.1`, "protocol websockets"]);
  return {
    name: "mosquitto",
    host: "127.0.0.1",
    port: service.port,
    ws: `ws://127.0.0.1:${wsPort}`,
    account: undefined,
    prefix: "hexa-app/some-organization/bus/",
    maxSessionExpiryS: undefined,
    // It does of some errors, and closes without a word at others.
    tellsWhy: false,
    forbiddenTopic: "$SYS/broker/uptime",
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}
