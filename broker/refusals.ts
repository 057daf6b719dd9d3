import mqttPacket from "mqtt-packet";
import type { Log, Metrics } from "../core/bus.ts";
import { type ErrorCode, HubError } from "../core/errors.ts";
import type { DownError } from "../core/payloads.ts";
import type { Principal } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import type { ClientInternals, InboundPublish } from "./aedes-internals.ts";
import type { Announce } from "./bus.ts";

/** What a PUBACK or PUBREC may say of the hub's errors (MQTT 5, table 3.4); 0x83, implementation specific, for the rest. */
const REASONS: Partial<Record<ErrorCode, number>> = {
  topic_forbidden: 0x87,
  forbidden: 0x87,
  not_found: 0x87,
  topic_unknown: 0x90,
  bad_json: 0x99,
  validation_error: 0x99,
  clock_out_of_range: 0x99,
  rate_limited: 0x97,
};
const UNSPECIFIC = 0x83;

/** A device that sends nothing but rubbish is told ten times at once and then once a second. */
const BURST = 10;
const REFILL_MS = 1_000;

export interface Refusals {
  /**
   * Answers a publish and takes it out of the world: MQTT 5 gets the reason code, 3.1.1 a plain acknowledgement, since
   * closing the connection would only make the client send the same packet again. Devices find why on `down/error`.
   */
  refuse(client: ClientInternals, principal: Principal | undefined, packet: InboundPublish, error: HubError): void;
  /** Tells of a packet that nothing was read of but its size. Its connection ends, so that the device hears of it with its next one. */
  refuseSize(client: ClientInternals, principal: Principal | undefined, bytes: number): void;
  /** Acknowledges a publish that needs no delivery. */
  swallow(client: ClientInternals, packet: InboundPublish): void;
}

export interface RefusalsContext {
  readonly announce: Announce;
  readonly topics: Topics;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

export function createRefusals({ announce, topics, log, metrics, clock }: RefusalsContext): Refusals {
  const allowance = new WeakMap<ClientInternals, { tokens: number; at: number }>();

  function maySpeak(client: ClientInternals): boolean {
    const now = clock();
    const known = allowance.get(client) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, known.tokens + (now - known.at) / REFILL_MS);
    allowance.set(client, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    return tokens >= 1;
  }

  function report(
    client: ClientInternals,
    principal: Principal | undefined,
    refused: { topic: string; error: HubError; qos: 0 | 1 },
  ): void {
    const { topic, error, qos } = refused;
    const { code, message, details } = error;
    metrics.count("hexahub_mqtt_refused_total", { code });
    if (!maySpeak(client)) return;
    log.warn({ clientId: client.id, topic, code, reason: message }, "publish refused");
    if (principal?.kind !== "device") return;
    const payload: DownError = { code, message, topic, details };
    announce({ topic: topics.build({ kind: "down", uid: principal.uid, type: "error" }), payload: JSON.stringify(payload), qos });
  }

  return {
    refuse(client, principal, packet, error) {
      answer(client, packet, REASONS[error.code] ?? UNSPECIFIC, error);
      report(client, principal, { topic: packet.topic, error, qos: 0 });
    },
    refuseSize(client, principal, bytes) {
      const error = new HubError("payload_too_large", `the packet has ${bytes} bytes`, { details: { bytes } });
      report(client, principal, { topic: "", error, qos: 1 });
    },
    swallow: (client, packet) => answer(client, packet, 0),
  };
}

function answer(client: ClientInternals, packet: InboundPublish, reasonCode: number, error?: HubError): void {
  packet._notAuthorized = true;
  if (packet.qos === 0 || packet.messageId === undefined || client.conn.destroyed) return;
  const isV5 = client.version === 5;
  const acknowledgement = {
    cmd: packet.qos === 1 ? ("puback" as const) : ("pubrec" as const),
    messageId: packet.messageId,
    ...(isV5 ? { reasonCode } : {}),
    ...(isV5 && error ? { properties: { reasonString: `${error.code}: ${error.message}`.slice(0, 512) } } : {}),
  };
  mqttPacket.writeToStream(acknowledgement, client.conn, { protocolVersion: client.version });
}
