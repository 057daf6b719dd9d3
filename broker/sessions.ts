import type { Bus, Sessions } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import type { Admission } from "./connect.ts";
import { Connection } from "./connection.ts";
import type { PresenceTracker } from "./presence.ts";
import type { Retained } from "./retained.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SessionsContext {
  readonly registry: SessionRegistry;
  readonly retained: Retained;
  readonly rows: WriteBehind;
  readonly presence: PresenceTracker;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly admission: Pick<Admission, "turnAway">;
}

export function createSessions({ registry, retained, rows, presence, bus, topics, admission }: SessionsContext): Sessions {
  return {
    isReachable(uid) {
      const session = registry.find(uid);
      return session?.link !== undefined && listensToCommands(topics, session, uid);
    },
    async disconnect(match, reason) {
      admission.turnAway(match);
      const connections = connectionsOf(registry, match);
      await Promise.all(connections.map((connection) => end(connection, reason)));
      // A machine's account ends with its token, and so does what is stored for it.
      for (const { id, principal, link } of [...registry.all()])
        if (!link && match(principal) && (reason === "deleted" || principal.kind === "service")) registry.end(id);
      return connections.length;
    },
    async forgetDevice(uid) {
      const link = registry.find(uid)?.link;
      if (link instanceof Connection) await end(link, "deleted");
      presence.forget(uid);
      registry.end(uid);
      await rows.flushed();
      for (const topic of retained.topicsBelow(`${topics.root}/${uid}/`)) await bus.publish({ topic, payload: "", qos: 1, retain: true });
    },
    count: () => registry.connected,
  };
}

/** Whether the device has subscribed to its commands, by name or by a wildcard over its down topics. */
export function listensToCommands(topics: Topics, { subscriptions }: Session, uid: string): boolean {
  const command = topics.build({ kind: "down", uid, type: "command" });
  const down = command.slice(0, command.lastIndexOf("/"));
  return [command, `${down}/#`, `${down}/+`].some((filter) => subscriptions.has(filter));
}

function connectionsOf(registry: SessionRegistry, match: (principal: Principal) => boolean): Connection[] {
  const connections: Connection[] = [];
  for (const { link, principal } of registry.all()) if (link instanceof Connection && match(principal)) connections.push(link);
  return connections;
}

/** WebSocket clients get close code 4401, MQTT 5 clients a reason; for the others the connection just ends. */
async function end(connection: Connection, reason: "revoked" | "taken_over" | "deleted"): Promise<void> {
  const { client } = connection;
  client.conn.socket?.close(4401, reason);
  await new Promise<void>((resolve) => client.disconnect({ reasonCode: reason === "taken_over" ? 0x8e : 0x87 }, resolve));
}
