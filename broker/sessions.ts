import type { Client } from "aedes";
import type { Bus, Sessions } from "../core/bus.ts";
import type { Topics } from "../core/topics.ts";
import type { BrokerInternals, ClientInternals } from "./aedes-internals.ts";
import { allows, type Principals } from "./authorize.ts";
import type { Admission } from "./connect.ts";
import type { StoredPersistence } from "./persistence.ts";
import type { PresenceTracker } from "./presence.ts";

export interface SessionsContext {
  readonly inside: BrokerInternals;
  readonly principals: Principals;
  readonly persistence: StoredPersistence;
  readonly presence: PresenceTracker;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly admission: Pick<Admission, "turnAway">;
}

export function createSessions({ inside, principals, persistence, presence, bus, topics, admission }: SessionsContext): Sessions {
  return {
    isReachable(uid) {
      const client = inside.clients[uid];
      return client !== undefined && !client.closed && client.connected && listensToCommands(topics, client, uid);
    },
    async disconnect(match, reason) {
      admission.turnAway(match);
      const clients = Object.values(inside.clients).filter((client) => allows(principals.get(client), match));
      await Promise.all(clients.map((client) => end(client, reason)));
      return clients.length;
    },
    async forgetDevice(uid) {
      const client = inside.clients[uid];
      if (client) await end(client, "deleted");
      presence.forget(uid);
      await persistence.forgetSession(uid);
      for (const topic of persistence.retainedBelow(`${topics.root}/${uid}/`))
        await bus.publish({ topic, payload: "", qos: 1, retain: true });
    },
    count: () => Object.keys(inside.clients).length,
  };
}

/** Whether the device has subscribed to its commands, by name or by a wildcard over its down topics. */
export function listensToCommands(topics: Topics, client: Client, uid: string): boolean {
  const command = topics.build({ kind: "down", uid, type: "command" });
  const down = command.slice(0, command.lastIndexOf("/"));
  const { subscriptions } = client as ClientInternals;
  return [command, `${down}/#`, `${down}/+`].some((filter) => Object.hasOwn(subscriptions, filter));
}

/** WebSocket clients get close code 4401, MQTT 5 clients a reason; for the others the connection just ends. */
async function end(client: ClientInternals, reason: "revoked" | "taken_over" | "deleted"): Promise<void> {
  client.conn.socket?.close(4401, reason);
  await new Promise<void>((resolve) => client.disconnect({ reasonCode: reason === "taken_over" ? 0x8e : 0x87 }, resolve));
}
