import type { Bus, BusMessage, EventSink, Log } from "../core/bus.ts";
import { type HubEvent, toCloudEvent } from "../core/event.ts";
import type { Topics } from "../core/topics.ts";
import type { Exchange } from "./exchange.ts";
import { Message } from "./message.ts";
import type { Router } from "./router.ts";

/** Publishes what follows from a commit: nobody waits for it, and what cannot be published is logged. */
export type Announce = (message: BusMessage) => void;

export interface BusContext {
  readonly exchange: Exchange;
  readonly router: Router;
  readonly clock: () => number;
  readonly log: Log;
}

/** The hub's side of the broker. */
export function createBus({ exchange, router, clock, log }: BusContext): Bus {
  return {
    async publish(message) {
      // Sessions that are connected have it within this turn, in the order of the calls.
      const followed = exchange.publish(messageOf(message, clock));
      if (followed) await exchange.stored(followed);
    },
    subscribe(filter, handler, reach) {
      const guarded = ({ topic, payload }: Message): void => {
        try {
          handler(topic, payload);
        } catch (error) {
          // Whoever published it did nothing wrong, and those behind this one are waiting.
          log.error({ err: error, topic }, "a subscriber inside the hub failed");
        }
      };
      return router.handle(filter, guarded, reach);
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
      await bus.publish(eventMessage(topics, event, organizationId));
    } catch (error) {
      log.error({ err: error, eventId: event.id }, "an event could not be published");
    }
  };
  return {
    async emit(events) {
      // All within this turn, in their order.
      const published: Promise<void>[] = [];
      for (const event of events) if (event.organizationId !== null) published.push(publish(event, event.organizationId));
      await Promise.all(published);
    },
  };
}

/** What the organisation's clients get of an event. */
export function eventMessage(topics: Topics, event: HubEvent, organizationId: string): BusMessage {
  return {
    topic: topics.build({ kind: "event", organizationId, type: event.type }),
    payload: JSON.stringify(toCloudEvent(event)),
    qos: 1,
  };
}

export function messageOf({ topic, payload, qos = 0, retain = false, expiresInMs }: BusMessage, clock: () => number = Date.now): Message {
  return new Message({
    topic,
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    qos,
    retain,
    expiresAt: expiresInMs === undefined ? undefined : clock() + expiresInMs,
  });
}
