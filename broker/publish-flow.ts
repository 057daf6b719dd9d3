import { HubError } from "../core/errors.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import { TOPICS, type Topic } from "../core/topics.ts";
import type { Pending } from "./acknowledgements.ts";
import { type Connection, HOLD } from "./connection.ts";
import type { Counters } from "./counters.ts";
import type { Exchange } from "./exchange.ts";
import type { Grants } from "./grants.ts";
import { type Inbound, readPublish } from "./inbound.ts";
import { Message } from "./message.ts";
import { acceptPublish, offerUp, type PublishContext, topicError, type UpTopic } from "./publish.ts";
import { reasonOf } from "./refusals.ts";
import type { Followed } from "./router.ts";
import type { Session } from "./session.ts";
import type { StorageWatch } from "./storage-watch.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface PublishFlowContext extends PublishContext {
  readonly limits: MqttLimits;
  readonly counters: Counters;
  readonly exchange: Exchange;
  readonly rows: WriteBehind;
  readonly storage: Pick<StorageWatch, "failed">;
}

const PUBCOMP = 0x70;
/** MQTT 5: packet identifier not found. */
const UNKNOWN_ID = 0x92;

/** What becomes of the messages of clients: the flows of QoS 0, 1 and 2, and who may send what. */
export class PublishFlow {
  readonly #context: PublishFlowContext;

  constructor(context: PublishFlowContext) {
    this.#context = context;
  }

  /** A checked PUBLISH. */
  publish(connection: Connection, buffer: Buffer, start: number, end: number): void {
    const { counters, rights, clock } = this.#context;
    const packet = readPublish(connection, buffer, start, end, connection.version === 5 ? clock() : 0);
    if (!packet) return connection.end(0x94, "[MQTT-3.3.2-8] a topic alias that is not in use");
    counters.received[packet.qos]++;
    connection.spend(1);
    if (packet.qos !== 0 && !this.#hasRoom(connection, packet)) return;
    const { topic, mayPublish } = (connection.grants as Grants).of(packet.topic);
    if (!topic || !mayPublish) return this.#refuse(connection, packet, topicError(rights, connection.principal, packet.topic, topic));
    if (packet.retain && TOPICS[topic.kind].retain === "refused")
      return this.#refuse(connection, packet, new HubError("retain_refused", `${packet.topic} does not take retained messages`));
    counters.accepted[topic.kind] = (counters.accepted[topic.kind] ?? 0) + 1;
    if (topic.kind === "bus") this.#forward(connection, packet);
    else if (topic.kind === "up" && packet.qos === 0) this.#offer(connection, packet, topic);
    else this.#accept(connection, packet, topic);
  }

  /** PUBACK, PUBREC, PUBREL and PUBCOMP. */
  acknowledgement(connection: Connection, buffer: Buffer, start: number, end: number): void {
    const session = connection.session as Session;
    const packetId = buffer.readUInt16BE(start + 2);
    const reasonCode = end - start > 4 ? (buffer[start + 4] as number) : 0;
    switch ((buffer[start] as number) >> 4) {
      case 4:
      case 7:
        return session.acknowledge(packetId);
      case 5:
        return reasonCode >= 0x80 ? session.acknowledge(packetId) : session.receive(packetId);
      default:
        return this.#release(connection, session, packetId);
    }
  }

  /** QoS 2 sent again: it was taken, and only the answer is repeated [MQTT-4.3.3-2], once what followed from the first is committed. */
  #answerAgain(connection: Connection, packet: Inbound): void {
    const pending = connection.acknowledgements.reserve(2, packet.packetId);
    void this.#context.exchange.stored().then(
      () => pending.settle(),
      (error: unknown) => this.#giveUp(connection, packet, error),
    );
  }

  /** Whether there is room for one more unanswered message; ends or holds the connection where there is none. */
  #hasRoom(connection: Connection, packet: Inbound): boolean {
    const { packetId, qos } = packet;
    const { mqttReceiveMaximum } = this.#context.limits;
    const { acknowledgements, version } = connection;
    const { unreleased } = connection.session as Session;
    if (qos === 2 && unreleased.has(packetId)) {
      this.#answerAgain(connection, packet);
      return false;
    }
    const open = acknowledgements.unkept + unreleased.size;
    if (open >= mqttReceiveMaximum && (version === 5 || unreleased.size >= mqttReceiveMaximum)) {
      connection.end(0x93, "[MQTT-3.3.4-9] more unanswered messages than the receive maximum");
      return false;
    }
    // 3.1.1 knows no such limit: its client is not read until some are answered.
    if (version !== 5 && acknowledgements.waiting + 1 >= mqttReceiveMaximum) connection.hold(HOLD.window);
    return true;
  }

  /** Messages between clients: nothing of the hub's follows from them. */
  #forward(connection: Connection, packet: Inbound): void {
    const { exchange } = this.#context;
    let followed: Followed | undefined;
    try {
      followed = exchange.publish(messageOf(connection, packet), connection.principal);
    } catch (error) {
      return this.#refuse(connection, packet, error as Error);
    }
    const { qos, packetId } = packet;
    if (qos === 0) return;
    if (qos === 2 && this.#keepUnreleased(connection.session as Session, packetId)) followed ??= "here";
    if (!followed) return connection.acknowledgements.answer(qos, packetId);
    const pending = connection.acknowledgements.reserve(qos, packetId);
    if (qos === 2) pending.keep();
    void exchange.stored(followed).then(
      () => pending.settle(),
      (error: unknown) => this.#giveUp(connection, packet, error),
    );
  }

  /** A device's message of QoS 0: nobody waits for it. */
  #offer(connection: Connection, packet: Inbound, topic: UpTopic): void {
    try {
      offerUp(this.#context, packet, topic);
    } catch (error) {
      return this.#refuse(connection, packet, error as Error);
    }
    this.#context.exchange.publish(messageOf(connection, packet), connection.principal);
  }

  /** Messages to the hub: acknowledged after what they mean is committed. */
  #accept(connection: Connection, packet: Inbound, topic: Topic): void {
    const { qos, packetId } = packet;
    const pending = qos === 0 ? undefined : connection.acknowledgements.reserve(qos, packetId);
    const fail = (error: unknown): void => this.#fail(connection, packet, pending, error);
    const { client, principal, answeredBefore: answered } = connection;
    const sender = { clientId: client.id, principal: principal as Principal, answered };
    // Thousands wait for a commit at once: no frame of an async function for each of them.
    try {
      acceptPublish(this.#context, sender, packet, topic)
        .then((stopped) => this.#follow(connection, packet, topic, { pending, stopped: stopped ?? undefined }))
        .catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /**
   * What was accepted goes on to its subscribers, and is answered when what follows from that is committed too. `stopped` says why it
   * does not go on.
   */
  #follow(
    connection: Connection,
    packet: Inbound,
    { kind }: Topic,
    { pending, stopped }: { readonly pending: Pending | undefined; readonly stopped: string | undefined },
  ): Promise<void> | void {
    const { exchange } = this.#context;
    const { qos, packetId } = packet;
    // The session itself says when a device comes and goes; the hub alone publishes it, once a change.
    let followed =
      kind === "availability" || stopped !== undefined ? undefined : exchange.publish(messageOf(connection, packet), connection.principal);
    if (qos === 2) {
      if (this.#keepUnreleased(connection.session as Session, packetId)) followed ??= "here";
      pending?.keep();
    }
    if (!followed || qos === 0) return pending?.settle(0, stopped);
    return exchange.stored(followed).then(() => pending?.settle(0, stopped));
  }

  #fail(connection: Connection, packet: Inbound, pending: Pending | undefined, error: unknown): void {
    if (!(error instanceof HubError) || isOutage(error)) return this.#giveUp(connection, packet, error);
    this.#context.refusals.report(connection.client, connection.principal, packet.topic, error);
    pending?.settle(reasonOf(error), textOf(error));
  }

  #refuse(connection: Connection, packet: Inbound, error: Error): void {
    if (!(error instanceof HubError)) return this.#giveUp(connection, packet, error);
    const { qos, packetId, topic } = packet;
    if (qos !== 0) connection.acknowledgements.answer(qos, packetId, reasonOf(error), textOf(error));
    this.#context.refusals.report(connection.client, connection.principal, topic, error);
  }

  /** Could not be stored: nothing is acknowledged, and the client will send it again. QoS 0 goes on. */
  #giveUp(connection: Connection, { topic, qos }: { readonly topic: string | undefined; readonly qos: number }, error: unknown): void {
    const { storage, log } = this.#context;
    if (!storage.failed(error)) log.error({ err: error, topic, clientId: connection.client.id }, "a publish could not be stored");
    if (qos > 0) connection.stream.destroy();
  }

  /** Remembers a QoS 2 message until its release. Returns whether that is a row. */
  #keepUnreleased(session: Session, packetId: number): boolean {
    session.unreleased.add(packetId);
    if (session.isDurable) this.#context.rows.put("incoming", session.id, String(packetId), { packetId });
    return session.isDurable;
  }

  /**
   * PUBREL. It is answered whether the message is known or not: the client must get rid of it. From the answer on the id may
   * name another message, so no crash may bring back that it is taken: that message would pass for a repeat.
   */
  #release(connection: Connection, session: Session, packetId: number): void {
    const isKnown = session.unreleased.delete(packetId);
    if (!session.isDurable) return complete(connection, packetId, isKnown);
    const { rows } = this.#context;
    if (isKnown) rows.delete("incoming", session.id, String(packetId));
    rows.flushed().then(
      () => complete(connection, packetId, isKnown),
      (error: unknown) => this.#giveUp(connection, { topic: undefined, qos: 2 }, error),
    );
  }
}

/** Where a session goes on, an unknown id is one whose PUBCOMP was lost: no error, and some clients would take the word for one. */
function complete({ isClosed, isResumed, output, version }: Connection, packetId: number, isKnown: boolean): void {
  if (isClosed) return;
  if (isKnown || isResumed || version !== 5) output.appendShort(PUBCOMP, packetId);
  else output.append(Buffer.from([PUBCOMP, 3, packetId >> 8, packetId & 255, UNKNOWN_ID]));
}

function messageOf(connection: Connection, { topic, payload, qos, retain, properties, expiresAt, frame }: Inbound): Message {
  return new Message({ topic, payload, qos, retain, properties, expiresAt, publisher: connection.client.id, frame });
}

/** What a reason string says. */
const textOf = ({ code, message }: HubError): string => `${code}: ${message}`;

/** The database's trouble is not the message's: whoever sends it again may find it over. */
const isOutage = ({ code }: HubError): boolean => code === "storage_full" || code === "unavailable";
