import type { Log, Metrics } from "../core/bus.ts";
import { type ErrorCode, HubError } from "../core/errors.ts";
import type { DownError } from "../core/payloads.ts";
import type { Principal } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import type { ClientInternals } from "./aedes-internals.ts";
import type { Announce } from "./bus.ts";

/** What a PUBACK or PUBREC may say of the hub's errors (MQTT 5, table 3.4); 0x83, implementation specific, for the rest. */
const REASONS: Partial<Record<ErrorCode, number>> = {
  topic_forbidden: 0x87,
  forbidden: 0x87,
  not_found: 0x87,
  task_signature_invalid: 0x87,
  topic_unknown: 0x90,
  bad_json: 0x99,
  validation_error: 0x99,
  clock_out_of_range: 0x99,
  task_envelope_stale: 0x99,
  rate_limited: 0x97,
  quota_exceeded: 0x97,
};
const UNSPECIFIC = 0x83;

/**
 * What a PUBACK or PUBREC of MQTT 5 says of a refused message. 3.1.1 gets a plain acknowledgement, since closing the
 * connection would only make the client send the same packet again. Devices find why on `down/error`.
 */
export const reasonOf = ({ code }: HubError): number => REASONS[code] ?? UNSPECIFIC;

/** A device that sends nothing but rubbish is told ten times at once and then once a second. */
const BURST = 10;
const REFILL_MS = 1_000;
/** A device that sends too fast is told this often: nothing of what it sent is lost. */
const RATE_NOTICE_MS = 60_000;

export interface Refusals {
  /** Counts a refused message, logs it and tells the device that sent it, all within bounds. */
  report(client: ClientInternals, principal: Principal | undefined, topic: string, error: HubError): void;
  /** Tells of a packet that nothing was read of but its size. Its connection ends, so that the device hears of it with its next one. */
  reportSize(client: ClientInternals, principal: Principal | undefined, bytes: number): void;
  /** Tells a device that it is read no faster than `perSecond` messages, once a minute and connection. */
  reportRate(client: ClientInternals, principal: Principal | undefined, perSecond: number): void;
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
  const rateNotices = new WeakMap<ClientInternals, number>();

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
    const { topic, error } = refused;
    const { code, message } = error;
    metrics.count("hexahub_mqtt_refused_total", { code });
    if (!maySpeak(client)) return;
    log.warn({ clientId: client.id, topic, code, reason: message }, "publish refused");
    tell(principal, refused);
  }

  function tell(principal: Principal | undefined, { topic, error, qos }: { topic: string; error: HubError; qos: 0 | 1 }): void {
    if (principal?.kind !== "device") return;
    const { code, message, details } = error;
    const payload: DownError = { code, message, topic, details };
    announce({ topic: topics.build({ kind: "down", uid: principal.uid, type: "error" }), payload: JSON.stringify(payload), qos });
  }

  return {
    report: (client, principal, topic, error) => report(client, principal, { topic, error, qos: 0 }),
    reportSize(client, principal, bytes) {
      // Whoever is nobody yet is logged with the packet; here it would be a way to fill the log.
      if (!principal) return metrics.count("hexahub_mqtt_refused_total", { code: "payload_too_large" });
      const error = new HubError("payload_too_large", `the packet has ${bytes} bytes`, { details: { bytes } });
      report(client, principal, { topic: "", error, qos: 1 });
    },
    reportRate(client, principal, perSecond) {
      const now = clock();
      const last = rateNotices.get(client);
      if (last !== undefined && now - last < RATE_NOTICE_MS && now >= last) return;
      rateNotices.set(client, now);
      log.info({ clientId: client.id, perSecond }, "a client sends faster than it may");
      const message = `more than ${perSecond} messages a second: the rest is read later`;
      tell(principal, { topic: "", error: new HubError("rate_limited", message, { details: { per_second: perSecond } }), qos: 0 });
    },
  };
}
