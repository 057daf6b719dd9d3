import type { Aedes, Client } from "aedes";
import type { Log, Metrics } from "../core/bus.ts";
import { isDeviceUid } from "../core/id.ts";
import type { Principal } from "../core/principal.ts";
import type { ClientInternals } from "./aedes-internals.ts";
import { type AuthenticationContext, authenticate } from "./authenticate.ts";
import { hasControlCharacter, keyOf, mayPublish, type Principals, type Rights } from "./authorize.ts";
import type { StoredPersistence } from "./persistence.ts";

export interface AdmissionContext extends AuthenticationContext {
  readonly rights: Rights;
  readonly principals: Principals;
  readonly persistence: StoredPersistence;
  readonly findClient: (clientId: string) => Client | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Who may connect: credentials, the ownership of the client id, and the will. */
export interface Admission {
  readonly authenticate: Aedes["authenticate"];
  /** Whether this is a will that passed at CONNECT. */
  isCheckedWill(packet: object): boolean;
  /** Whoever is logging in right now and turns out to match is not welcome: what was read of him may be from before. */
  turnAway(match: (principal: Principal) => boolean): void;
  /** Asked once, when the session begins. */
  isWelcome(client: Client): boolean;
}

/** Bytes: a client id is part of keys, which PostgreSQL limits; the specification asks for 23 [MQTT-3.1.3-5]. */
const MAX_CLIENT_ID_BYTES = 128;

export function createAdmission(context: AdmissionContext): Admission {
  const wills = new WeakSet<object>();
  /** Logins that are not sessions yet, each with those whom it must not turn out to be. */
  const pending = new Map<Client, ((principal: Principal) => boolean)[]>();

  async function admit(client: ClientInternals, username: string | undefined, password: string | undefined): Promise<void> {
    pending.set(client, []);
    client.conn.once("close", () => pending.delete(client));
    if (!isValidClientId(client.id)) throw new ConnectRefusal(2, "client_id_invalid");
    const principal = await authenticate(context, username, password);
    if (!principal) throw new ConnectRefusal(username ? 4 : 5, "bad_credentials");
    // Whoever left while the password was checked gets no session.
    if (client.closed || client.conn.destroyed) return;
    checkOwnership(context, client.id, principal);
    const will = client._will;
    if (will) {
      checkWill(context.rights, principal, will.topic);
      wills.add(will);
    }
    context.principals.set(client, principal);
    if (!client.clean) await context.persistence.claimSession(client.id, principal);
  }

  type Done = Parameters<Aedes["authenticate"]>[3];
  async function answer(client: ClientInternals, username: string | undefined, password: string | undefined, done: Done): Promise<void> {
    let refusal: ConnectRefusal | null = null;
    try {
      await admit(client, username, password);
    } catch (error) {
      refusal = refusalOf(context, client, error);
    }
    done(refusal, refusal === null);
  }

  return {
    authenticate: (client, username, password, done) => void answer(client as ClientInternals, username, password?.toString(), done),
    isCheckedWill: (packet) => wills.has(packet),
    turnAway(match) {
      for (const unwanted of pending.values()) unwanted.push(match);
    },
    isWelcome(client) {
      const principal = context.principals.get(client);
      const unwanted = pending.get(client) ?? [];
      pending.delete(client);
      return principal !== undefined && !unwanted.some((match) => match(principal));
    },
  };
}

/** CONNACK's return code of MQTT 3.1.1; Aedes translates it for MQTT 5. */
class ConnectRefusal extends Error {
  readonly returnCode: number;

  constructor(returnCode: 2 | 3 | 4 | 5, reason: string) {
    super(reason);
    this.returnCode = returnCode;
  }
}

function isValidClientId(clientId: string): boolean {
  return Buffer.byteLength(clientId) <= MAX_CLIENT_ID_BYTES && !hasControlCharacter(clientId);
}

/** A device's uid is the client id of that device alone; every other id is its user's while a session has it. */
function checkOwnership({ rights, principals, persistence, findClient }: AdmissionContext, clientId: string, principal: Principal): void {
  const isForeign =
    principal.kind === "device" ? clientId !== principal.uid : isDeviceUid(clientId) && rights.directory.find(clientId) !== undefined;
  const live = findClient(clientId);
  const holder = (live && principals.get(live)) ?? persistence.ownerOf(clientId);
  if (isForeign || (holder && keyOf(holder) !== keyOf(principal))) throw new ConnectRefusal(2, "client_id_of_another");
}

/** Only states of being there make sense as a last word; everything else would be a command of somebody who is gone. */
function checkWill(rights: Rights, principal: Principal, name: string): void {
  const topic = rights.topics.parse(name);
  if (!topic || !mayPublish(rights, principal, topic) || (topic.kind !== "availability" && topic.kind !== "ha_status"))
    throw new ConnectRefusal(5, "will_forbidden");
}

function refusalOf({ log, metrics }: AdmissionContext, client: ClientInternals, error: unknown): ConnectRefusal {
  const refusal = error instanceof ConnectRefusal ? error : new ConnectRefusal(3, "unavailable");
  if (refusal !== error) log.error({ err: error }, "a login could not be checked");
  metrics.count("hexahub_mqtt_logins_refused_total", { reason: refusal.message });
  log.info({ clientId: client.id, remoteAddress: client.conn.remoteAddress, reason: refusal.message }, "connection refused");
  return refusal;
}
