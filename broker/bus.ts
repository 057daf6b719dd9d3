import type { Aedes, AedesPublishPacket, PublishPacket } from "aedes";
import type { Bus, BusMessage, EventSink, Log } from "../core/bus.ts";
import { type HubEvent, toCloudEvent } from "../core/event.ts";
import type { Topics } from "../core/topics.ts";

/** Publishes what follows from a commit: nobody waits for it, and what cannot be published is logged. */
export type Announce = (message: BusMessage) => void;

/** The hub's side of Aedes. */
export function createBus(aedes: Aedes): Bus {
  return {
    publish: (message) =>
      new Promise((resolve, reject) => {
        // While the hub stops there is nobody left to tell, and the tables hold what the next start retains.
        aedes.publish(packetOf(message), (error) => (error && !aedes.closed ? reject(error) : resolve()));
      }),
    subscribe(filter, handler) {
      const deliver = (packet: AedesPublishPacket, done: () => void): void => {
        handler(packet.topic, packet.payload as Buffer);
        done();
      };
      aedes.subscribe(filter, deliver, () => {});
      return { [Symbol.dispose]: () => aedes.unsubscribe(filter, deliver, () => {}) };
    },
  };
}

export function createAnnounce(bus: Bus, log: Log): Announce {
  return (message) => {
    bus.publish(message).catch((error: unknown) => log.error({ err: error, topic: message.topic }, "a message could not be published"));
  };
}

/** Events of an organisation as CloudEvents on its topics, in their order. The rows are committed, so a failure is only logged. */
export function createEventSink({ bus, topics, log }: { bus: Bus; topics: Topics; log: Log }): EventSink {
  const publish = async (event: HubEvent, organizationId: string): Promise<void> => {
    try {
      await bus.publish({
        topic: topics.build({ kind: "event", organizationId, type: event.type }),
        payload: JSON.stringify(toCloudEvent(event)),
        qos: 1,
      });
    } catch (error) {
      log.error({ err: error, eventId: event.id }, "an event could not be published");
    }
  };
  return {
    async emit(events) {
      for (const event of events) if (event.organizationId !== null) await publish(event, event.organizationId);
    },
  };
}

function packetOf({ topic, payload, qos = 0, retain = false, expiresInMs }: BusMessage): PublishPacket {
  return {
    cmd: "publish",
    topic,
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    qos,
    retain,
    dup: false,
    ...(expiresInMs === undefined ? {} : { properties: { messageExpiryInterval: Math.max(1, Math.ceil(expiresInMs / 1_000)) } }),
  };
}
