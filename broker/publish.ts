import type { Commands, DeviceDirectory, Log, Metrics } from "../core/bus.ts";
import type { Command } from "../core/command.ts";
import { HubError } from "../core/errors.ts";
import { IrSet, LightSet } from "../core/payloads.ts";
import { actorOf, type Principal, scopeOf } from "../core/principal.ts";
import { TOPICS, type Topic } from "../core/topics.ts";
import { parserFor } from "../core/validate.ts";
import type { ClientInternals, InboundPublish } from "./aedes-internals.ts";
import { mayPublish, type Rights } from "./authorize.ts";
import type { DurableIngest } from "./ingest.ts";
import type { Refusals } from "./refusals.ts";

export interface PublishContext {
  readonly rights: Rights;
  readonly ingest: DurableIngest;
  readonly commands: () => Commands;
  readonly directory: DeviceDirectory;
  readonly refusals: Refusals;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

/** `forward`: Aedes delivers and acknowledges it. `done`: it was answered here. `close`: it could not be stored, so nothing may be acknowledged. */
export type PublishOutcome = "forward" | "done" | "close";

const parseLight = parserFor(LightSet);
const parseIr = parserFor(IrSet);

/**
 * Decides what becomes of a client's publish: rights, then payload, then (for durable topics at QoS 1 and 2) the commit,
 * and only then the acknowledgement. QoS 0 is not waited for.
 */
export async function acceptPublish(
  context: PublishContext,
  client: ClientInternals,
  principal: Principal | undefined,
  packet: InboundPublish,
): Promise<PublishOutcome> {
  const { rights, refusals, metrics, log } = context;
  try {
    const topic = rights.topics.parse(packet.topic);
    if (!principal || !topic || !mayPublish(rights, principal, topic)) throw topicError(rights, principal, packet.topic, topic);
    if (packet.retain && TOPICS[topic.kind].retain === "refused")
      throw new HubError("retain_refused", `${packet.topic} does not take retained messages`);
    metrics.count("hexahub_mqtt_accepted_total", { topic: topic.kind });
    return await take(context, client, principal, topic, packet);
  } catch (error) {
    if (error instanceof HubError && !isOutage(error)) {
      refusals.refuse(client, principal, packet, error);
      return "done";
    }
    log.error({ err: error, topic: packet.topic }, "a publish could not be stored");
    return packet.qos === 0 ? "done" : "close";
  }
}

async function take(
  context: PublishContext,
  client: ClientInternals,
  principal: Principal,
  topic: Topic,
  packet: InboundPublish,
): Promise<PublishOutcome> {
  const { ingest, directory, refusals, clock } = context;
  switch (topic.kind) {
    case "up": {
      const receivedAt = clock();
      const device = directory.find(topic.uid);
      if (!device) throw new HubError("not_found", "the device was removed");
      const message = { device, type: topic.type, payload: ingest.parse(topic.type, packet.payload, receivedAt), receivedAt };
      if (packet.qos === 0) ingest.offer(message);
      else await ingest.commit(message);
      return "forward";
    }
    case "relay_set":
    case "light_set":
    case "ir_send": {
      const request = {
        device: topic.uid,
        command: commandOf(topic, packet.payload),
        actor: actorOf(principal),
        scope: scopeOf(principal as Exclude<Principal, { kind: "device" }>),
        source: principal.kind === "service" ? ("home-assistant" as const) : ("mqtt" as const),
      };
      await context.commands().accept(request);
      return "forward";
    }
    case "ha_status":
      checkAvailability(packet.payload);
      return "forward";
    case "availability": {
      checkAvailability(packet.payload);
      // The session itself says when a device comes and goes; the hub alone publishes it, once a change.
      refusals.swallow(client, packet);
      return "done";
    }
    default:
      return "forward";
  }
}

function checkAvailability(payload: Buffer | string): void {
  const text = String(payload);
  if (text !== "online" && text !== "offline")
    throw new HubError("validation_error", `online or offline is expected, not ${JSON.stringify(text.slice(0, 32))}`);
}

function commandOf(topic: Extract<Topic, { kind: "relay_set" | "light_set" | "ir_send" }>, payload: Buffer | string): Command {
  const text = String(payload);
  if (topic.kind === "relay_set") {
    const state = text.trim().toUpperCase();
    if (state !== "ON" && state !== "OFF" && state !== "TOGGLE")
      throw new HubError("validation_error", `a relay takes ON, OFF or TOGGLE, not ${JSON.stringify(text.slice(0, 32))}`);
    return { command: "set_relay", relay: topic.index, state };
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new HubError("bad_json", "the payload is not valid JSON", { cause });
  }
  return topic.kind === "light_set"
    ? { command: "set_light", light: topic.index, ...parseLight(body) }
    : { command: "ir_send", ...parseIr(body) };
}

/** The database's trouble is not the message's: whoever sends it again may find it over. */
const isOutage = ({ code }: HubError): boolean => code === "storage_full" || code === "unavailable";

/** A device's own unknown topic is a mistake worth naming; everything else must not tell what exists. */
function topicError(rights: Rights, principal: Principal | undefined, name: string, topic: Topic | undefined): HubError {
  if (!topic && principal?.kind === "device" && name.startsWith(`${rights.topics.root}/${principal.uid}/`))
    return new HubError("topic_unknown", `${name.slice(0, 256)} is not a topic of the hub`);
  return new HubError("topic_forbidden", `you may not publish to ${name.slice(0, 256)}`);
}
