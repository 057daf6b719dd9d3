import type { Bus, DeviceDirectory, EndReason, NodeCalls, Sessions } from "../core/bus.ts";
import { matches, type SessionSelector } from "../core/session-selector.ts";
import type { Principal } from "../core/principal.ts";
import type { Topics } from "../core/topics.ts";
import { revokedAmong } from "../store/credentials.ts";
import type { Store } from "../store/open.ts";
import { inactiveAmong, replacedPasswordsAmong } from "../store/users.ts";
import type { Admission } from "./connect.ts";
import { Connection } from "./connection.ts";
import type { PresenceTracker } from "./presence.ts";
import type { Revocations } from "./revocations.ts";
import type { Retained } from "./retained.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { Whereabouts } from "./whereabouts.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SessionsContext {
  readonly store: Store;
  readonly directory: Pick<DeviceDirectory, "settled">;
  readonly registry: SessionRegistry;
  readonly retained: Retained;
  readonly rows: WriteBehind;
  readonly presence: PresenceTracker;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly admission: Pick<Admission, "turnAway">;
  readonly calls: NodeCalls;
  readonly whereabouts: Whereabouts;
  readonly revocations: Revocations;
}

/** What others are told of it within; a node that is slower does it when it hears of it. */
const OTHERS_MS = 1_000;

/** The sessions of all nodes: what is asked of one is done on each. */
export function createSessions(context: SessionsContext): Sessions {
  const { store, directory, registry, bus, topics, calls, whereabouts, revocations } = context;
  const here = sessionsHere(context);
  calls.handle("sessions.disconnect", async (request) => {
    const { selector, reason } = request as { selector: SessionSelector; reason: EndReason };
    return here.disconnect(selector, reason);
  });
  calls.handle("sessions.forget", async (request) => {
    // Nobody here may hear by his former right what is said of the device from now on.
    await directory.settled();
    return here.forgetDevice((request as { uid: string }).uid);
  });

  function isReachableHere(uid: string): boolean {
    const session = registry.find(uid);
    return session?.link !== undefined && listensToCommands(topics, session, uid);
  }

  return {
    isReachableHere,
    isReachable: async ({ id, uid }) => isReachableHere(uid) || (await whereabouts.isElsewhere(id).catch(() => false)),
    async disconnect(selector, reason) {
      const { deviceId, credentialIds } = selector;
      const [ended, others] = await Promise.all([
        here.disconnect(selector, reason),
        calls.askOthers("sessions.disconnect", { selector, reason }, OTHERS_MS),
        reason === "revoked" && deviceId !== undefined ? revocations.note(credentialIds ?? []) : undefined,
      ]);
      return others.reduce<number>((sum, count) => sum + (typeof count === "number" ? count : 0), ended);
    },
    async forgetDevice(uid) {
      const answers = await Promise.all([here.forgetDevice(uid), calls.askOthers("sessions.forget", { uid }, OTHERS_MS)]);
      // Taken back once for all nodes, or whoever listens would hear it of each.
      for (const topic of new Set(answers.flat(2)))
        if (typeof topic === "string") await bus.publish({ topic, payload: "", qos: 1, retain: true });
    },
    async endRevoked() {
      const live = [...registry.all()].filter(({ link }) => link instanceof Connection).map(({ principal }) => principal);
      const shown = live.flatMap(credentialsOf);
      const credentialIds = [...(await revokedAmong(store.db, shown)), ...(await replacedPasswordsAmong(store.db, shown))];
      if (credentialIds.length > 0) await here.disconnect({ credentialIds }, "revoked");
      const people = live.flatMap((principal) => (principal.kind === "user" ? [principal.id] : []));
      const userIds = await inactiveAmong(store.db, people);
      if (userIds.length > 0) await here.disconnect({ userIds }, "revoked");
    },
    count: () => registry.connected,
  };
}

function credentialsOf(principal: Principal): string[] {
  const certificate = principal.kind === "device" ? principal.certificate : undefined;
  return certificate ? [principal.credentialId, certificate.credentialId] : [principal.credentialId];
}

function sessionsHere({ registry, retained, rows, presence, topics, admission }: SessionsContext) {
  return {
    async disconnect(selector: SessionSelector, reason: EndReason): Promise<number> {
      admission.turnAway((principal) => matches(selector, principal));
      const connections = connectionsOf(registry, selector);
      await Promise.all(connections.map((connection) => end(connection, reason)));
      // A machine's account ends with its token, and so does what is stored for it.
      for (const { id, principal, link } of registry.all())
        if (!link && matches(selector, principal) && (reason === "deleted" || principal.kind === "service")) registry.end(id);
      return connections.length;
    },
    /** Resolves to the topics that are retained of it. */
    async forgetDevice(uid: string): Promise<string[]> {
      const link = registry.find(uid)?.link;
      if (link instanceof Connection) await end(link, "deleted");
      presence.forget(uid);
      registry.end(uid);
      await rows.flushed();
      return retained.topicsBelow(`${topics.root}/${uid}/`);
    },
  };
}

/** Whether the device has subscribed to its commands, by name or by a wildcard over its down topics. */
export function listensToCommands(topics: Topics, { subscriptions }: Session, uid: string): boolean {
  const command = topics.build({ kind: "down", uid, type: "command" });
  const down = command.slice(0, command.lastIndexOf("/"));
  return [command, `${down}/#`, `${down}/+`].some((filter) => subscriptions.has(filter));
}

function connectionsOf(registry: SessionRegistry, selector: SessionSelector): Connection[] {
  const connections: Connection[] = [];
  for (const { link, principal } of registry.all()) if (link instanceof Connection && matches(selector, principal)) connections.push(link);
  return connections;
}

/** WebSocket clients get close code 4401, MQTT 5 clients a reason; for the others the connection just ends. */
async function end(connection: Connection, reason: EndReason): Promise<void> {
  const { client } = connection;
  client.conn.socket?.close(4401, reason);
  await new Promise<void>((resolve) => client.disconnect({ reasonCode: reason === "taken_over" ? 0x8e : 0x87 }, resolve));
}
