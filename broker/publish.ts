import type { BusMessage, Commands, DeviceDirectory, Log } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { IrSignal } from "../core/ir-signal.ts";
import { scopeOf } from "../core/permissions.ts";
import { actorOf, type Member, type Principal } from "../core/principal.ts";
import { type CommandTopic, topicCommand } from "../core/topic-command.ts";
import type { Topic } from "../core/topics.ts";
import { getIrCode } from "../store/ir-codes.ts";
import type { Store } from "../store/open.ts";
import type { Rights } from "../core/authorize.ts";
import type { Announce } from "./bus.ts";
import type { Inbound } from "./inbound.ts";
import type { DurableIngest, IngestMessage } from "./ingest.ts";
import { identityOf, isIdempotent, type Sender } from "./message-identity.ts";
import type { Refusals } from "./refusals.ts";

export interface PublishContext {
  readonly rights: Rights;
  readonly ingest: DurableIngest;
  readonly commands: () => Commands;
  readonly directory: DeviceDirectory;
  readonly store: Pick<Store, "db">;
  readonly announce: Announce;
  readonly refusals: Refusals;
  readonly log: Log;
  readonly clock: () => number;
}

export type UpTopic = Extract<Topic, { kind: "up" }>;

/** A device's message of QoS 0: checked at once, stored when there is time. Throws what {@link acceptPublish} throws. */
export function offerUp({ ingest, directory, clock }: PublishContext, packet: Inbound, topic: UpTopic): void {
  ingest.offer(upMessage({ ingest, directory, clock }, packet, topic));
}

/**
 * Takes a message to the hub: checks the payload and (for durable topics at QoS 1 and 2) commits what it means before it
 * resolves, so that the acknowledgement can follow. What had its effect before has no second one. Throws or rejects with HubError.
 * Gives what to tell the publisher of a message that goes no further, since somebody has to approve what it asks for.
 */
export function acceptPublish(context: PublishContext, sender: Sender, packet: Inbound, topic: Topic): Promise<string | void> {
  switch (topic.kind) {
    case "up": {
      const message = upMessage(context, packet, topic);
      const identity = isIdempotent(topic.type, message.payload) ? undefined : identityOf(sender, packet);
      return context.ingest.commit(identity ? { ...message, identity } : message);
    }
    case "relay_set":
    case "light_set":
    case "ir_send":
    case "button_press":
      return acceptCommand(context, sender, packet, topic);
    case "ha_status":
      context.announce(homeAssistantStatus(sender.principal, checkAvailability(packet.payload)));
      return Promise.resolve();
    case "availability":
      checkAvailability(packet.payload);
      return Promise.resolve();
    default:
      return Promise.resolve();
  }
}

async function acceptCommand(context: PublishContext, sender: Sender, packet: Inbound, topic: CommandTopic): Promise<string | undefined> {
  const { principal } = sender;
  const { taskId } = await context.commands().accept({
    device: topic.uid,
    command: await topicCommand(topic, packet.payload, (id) => codeOf(context, topic.uid, id)),
    actor: actorOf(principal),
    scope: scopeOf(context.rights.access.of(principal as Member), "device.control"),
    source: principal.kind === "service" ? (principal.purpose ?? "home-assistant") : "mqtt",
    origin: identityOf(sender, packet),
  });
  return taskId === null ? undefined : `awaiting_confirmation: task ${taskId}`;
}

function upMessage(
  { ingest, directory, clock }: Pick<PublishContext, "ingest" | "directory" | "clock">,
  packet: Inbound,
  topic: UpTopic,
): IngestMessage {
  const receivedAt = clock();
  const device = directory.find(topic.uid);
  if (!device) throw new HubError("not_found", "the device was removed");
  return { device, type: topic.type, payload: ingest.parse({ device, type: topic.type }, packet.payload, receivedAt), receivedAt };
}

/** Tells every node which organisation's Home Assistant it was: they all say it on the same topic. */
export function homeAssistantStatus(principal: Principal, status: string): BusMessage {
  const { organizationId } = principal as Member;
  return { topic: HUB_TOPICS.homeAssistant, payload: JSON.stringify({ organization_id: organizationId, status }), qos: 1 };
}

function checkAvailability(payload: Buffer | string): string {
  const text = String(payload);
  if (text === "online" || text === "offline") return text;
  throw new HubError("validation_error", `online or offline is expected, not ${JSON.stringify(text.slice(0, 32))}`);
}

async function codeOf({ store, directory }: PublishContext, uid: string, codeId: string): Promise<IrSignal> {
  const { id, organizationId } = directory.find(uid) ?? {};
  if (id === undefined || !organizationId) throw new HubError("not_found", "there is no such device");
  return (await getIrCode(store.db, { id, organizationId }, codeId)).signal;
}

/** A device's own unknown topic is a mistake worth naming; everything else must not tell what exists. */
export function topicError(rights: Rights, principal: Principal | undefined, name: string, topic: Topic | undefined): HubError {
  if (!topic && principal?.kind === "device" && name.startsWith(`${rights.topics.root}/${principal.uid}/`))
    return new HubError("topic_unknown", `${name.slice(0, 256)} is not a topic of the hub`);
  return new HubError("topic_forbidden", `you may not publish to ${name.slice(0, 256)}`);
}
