import type { Aedes } from "aedes";
import type { ClientInternals, InboundPublish } from "./aedes-internals.ts";
import { allows, isValidFilter, mayReceive, maySubscribe, type Principals, type Rights } from "./authorize.ts";
import type { Admission } from "./connect.ts";
import { deviceOf } from "./connections.ts";
import type { PresenceTracker } from "./presence.ts";
import { acceptPublish, type PublishContext } from "./publish.ts";

/** What Aedes asks before a filter is subscribed. */
export function subscribeGate(rights: Rights, principals: Principals): Aedes["authorizeSubscribe"] {
  return (client, subscription, done) => {
    const { topic } = subscription;
    const isGranted = isValidFilter(topic) && allows(principals.get(client), (principal) => maySubscribe(rights, principal, topic));
    done(null, isGranted ? subscription : null);
  };
}

/** What Aedes asks before every delivery, of live, retained and queued messages alike. */
export function deliveryGate(rights: Rights, principals: Principals): Aedes["authorizeForward"] {
  return (client, packet) => {
    const topic = rights.topics.parse(packet.topic);
    return topic && allows(principals.get(client), (principal) => mayReceive(rights, principal, topic)) ? packet : null;
  };
}

export interface PublishGateContext extends PublishContext {
  readonly principals: Principals;
  readonly admission: Admission;
  readonly presence: PresenceTracker;
}

/** What Aedes asks before it acknowledges a publish, and before it sends a will. */
export function publishGate(context: PublishGateContext): Aedes["authorizePublish"] {
  const { rights, principals, admission, presence, log } = context;

  async function decide(client: ClientInternals, packet: InboundPublish, done: () => void): Promise<void> {
    try {
      const outcome = await acceptPublish(context, client, principals.get(client), packet);
      if (outcome === "close") client.conn.destroy();
      else done();
    } catch (error) {
      log.error({ err: error, clientId: client.id }, "a publish could not be handled");
      client.conn.destroy();
    }
  }

  return (client, packet, done) => {
    // The hub's own, and what a dead node's client left behind: both were checked when they came in.
    if (client === null) return done();
    if (admission.isCheckedWill(packet)) {
      const isAvailability = rights.topics.parse(packet.topic)?.kind === "availability";
      return done(isAvailability ? new Error("the hub itself says when a device leaves") : null);
    }
    const device = deviceOf(context, client);
    if (device) presence.seen(device);
    void decide(client as ClientInternals, packet, done);
  };
}
