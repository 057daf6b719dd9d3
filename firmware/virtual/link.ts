import { Socket } from "node:net";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { RepeatingStore } from "./repeating-store.ts";
import type { Link } from "./transport.ts";

/** How to reach the hub. */
export interface LinkOptions {
  /** mqtt://, mqtts://, ws:// or wss://; the hub's http:// for the other transports. */
  readonly url: string;
  /** What the device speaks: MQTT, or through a gateway JSON over a WebSocket, or requests over HTTP. MQTT when absent. */
  readonly transport?: "mqtt" | "ws" | "poll" | undefined;
  /** PEM of the authority to trust. */
  readonly ca?: string | Buffer | undefined;
  readonly uid: string;
  /** Device token or JWT. */
  readonly password: string;
  readonly protocolVersion?: 4 | 5 | undefined;
  /** false (the default) keeps the session, so that commands sent meanwhile arrive at the next connect. */
  readonly clean?: boolean | undefined;
  readonly keepaliveS?: number | undefined;
  /** How long it waits before it tries again by itself after the connection was lost; 0: never. 1 s by default. */
  readonly reconnectMs?: number | undefined;
}

export const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** MQTT 5 forgets a session at once unless told for how long to keep it. */
const SESSION_EXPIRY_S = 7 * 86_400;

/** The MQTT client of a device. It connects at once and by itself again after a loss; the caller must listen to its `error`. */
export function openLink(options: LinkOptions, will: { readonly topic: string; readonly payload: string }): MqttClient {
  const { protocolVersion = 4, clean = false } = options;
  const outgoingStore = new RepeatingStore();
  const settings: IClientOptions = {
    clientId: options.uid,
    username: options.uid,
    password: options.password,
    protocolVersion,
    clean,
    keepalive: options.keepaliveS ?? 60,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: options.reconnectMs ?? 1_000,
    // A hub that starts answers "unavailable" for a moment: a device tries again.
    reconnectOnConnackError: true,
    // The device subscribes itself, before it says that it is online.
    resubscribe: false,
    queueQoSZero: false,
    outgoingStore,
    will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
    ...(protocolVersion === 5 && !clean ? { properties: { sessionExpiryInterval: SESSION_EXPIRY_S } } : {}),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
  const client = connect(options.url, settings);
  outgoingStore.follow(client);
  // MQTT.js leaves Nagle's algorithm on: with a peer that delays its ACKs, a report behind an acknowledgement waits 40 ms.
  client.on("connect", () => {
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  });
  return client;
}

/** Resolves at the CONNACK; rejects with the broker's reason, or when the connection ends or 10 s pass before it. */
export async function connected(client: Link | MqttClient): Promise<void> {
  const link = linkOf(client);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const refused = (error: Error): void => reject(error);
  const closed = (): void => reject(new Error("the connection closed before the hub answered"));
  const timer = setTimeout(() => reject(new Error(`the hub did not answer in ${CONNECT_TIMEOUT_MS} ms`)), CONNECT_TIMEOUT_MS);
  link
    .once("connect", () => resolve())
    .once("error", refused)
    .once("close", closed);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    link.off("error", refused).off("close", closed);
  }
}

/** Ends the connection in order, or without a word: then the broker sends the will. */
export async function closeLink(client: Link | MqttClient, how: "in order" | "without a word"): Promise<void> {
  const link = linkOf(client);
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (force: boolean): void => void link.end(force, {}, () => resolve());
  end(how === "without a word" || !link.connected);
  // In order it first waits for acknowledgements that a frozen hub never sends.
  const timer = setTimeout(() => {
    link.stream.destroy();
    resolve();
  }, CLOSE_TIMEOUT_MS);
  await promise;
  clearTimeout(timer);
}

/** MQTT.js' types know more events than a device listens to. */
export const linkOf = (client: Link | MqttClient): Link => client as Link;
