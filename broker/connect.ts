import type { Aedes } from "aedes";
import type { Log, Metrics } from "../core/bus.ts";
import { isDeviceUid } from "../core/id.ts";
import type { Principal } from "../core/principal.ts";
import type { SecurityEvents } from "../core/security-event.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { ClientInternals } from "./aedes-internals.ts";
import { sourceOf } from "./addresses.ts";
import { type AuthenticationContext, authenticate } from "./authenticate.ts";
import { hasControlCharacter, keyOf, type Rights } from "../core/authorize.ts";
import { cookieTokenOf } from "./browser-login.ts";
import { certificateOf } from "./client-certificates.ts";
import type { Connection } from "./connection.ts";
import type { Flapping } from "./flapping.ts";
import { gatewayLoginOf } from "./gateway-login.ts";
import type { LoginFailures } from "./login-failures.ts";
import type { Revocations } from "./revocations.ts";
import type { SessionRegistry } from "./session-registry.ts";
import type { SessionTransfer } from "./session-transfer.ts";
import { willOf } from "./will-packet.ts";
import { Wills } from "./wills.ts";

export interface AdmissionContext extends AuthenticationContext {
  readonly rights: Rights;
  readonly registry: SessionRegistry;
  readonly transfer: SessionTransfer;
  readonly wills: Wills;
  readonly failures: LoginFailures;
  readonly flapping: Flapping;
  readonly revocations: Pick<Revocations, "includes">;
  readonly limits: MqttLimits;
  readonly security: SecurityEvents;
  /** The connection that Aedes made a client for. */
  readonly connectionOf: (client: ClientInternals) => Connection;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Who may connect: credentials, the ownership of the client id, the will, and for how long the session may stay. */
export interface Admission {
  readonly authenticate: Aedes["authenticate"];
  /** Whoever is logging in right now and turns out to match is not welcome: what was read of him may be from before. */
  turnAway(match: (principal: Principal) => boolean): void;
  /** Asked once, when the session begins. */
  isWelcome(connection: Connection): boolean;
}

/** Bytes: a client id is part of keys, which PostgreSQL limits; the specification asks for 23 [MQTT-3.1.3-5]. */
const MAX_CLIENT_ID_BYTES = 128;

export function createAdmission(context: AdmissionContext): Admission {
  /** Logins that are not sessions yet, each with those whom it must not turn out to be. */
  const pending = new Map<Connection, ((principal: Principal) => boolean)[]>();

  async function admit(connection: Connection, username: string | undefined, password: string | undefined): Promise<void> {
    const { client } = connection;
    const { rights } = context;
    let hasClaimed = false;
    pending.set(connection, []);
    connection.stream.once("close", () => {
      pending.delete(connection);
      if (!connection.session) abandon(context, connection, hasClaimed);
    });
    const { remoteAddress } = client.conn;
    // Before anything is looked at: the same answer, as fast, for an account that exists and one that does not.
    if (context.failures.isBlocked(remoteAddress)) throw new ConnectRefusal(3, "too_many_failures", 0x9f);
    if (!isValidClientId(client.id)) throw new ConnectRefusal(2, "client_id_invalid");
    const { conn } = client;
    const shown = { certificate: certificateOf(conn), cookieToken: cookieTokenOf(conn), gateway: gatewayLoginOf(conn) };
    const principal = await authenticate(context, { username, password, ...shown });
    if (!principal || (await context.revocations.includes(principal))) {
      context.failures.failed(remoteAddress);
      throw new ConnectRefusal(username ? 4 : 5, "bad_credentials");
    }
    if (principal.kind === "user") await rights.access.know(principal.id);
    if (principal.kind === "device") await rights.directory.know(principal.uid);
    // Whoever left while the password was checked gets no session.
    if (connection.isClosed) return;
    await checkOwnership(context, client.id, principal);
    const will = connection.connect?.will;
    if (will && !Wills.isAllowed(context.rights, principal, will.topic)) throw new ConnectRefusal(5, "will_forbidden");
    if (!context.flapping.mayConnect(client.id, principal)) throw new ConnectRefusal(3, "flapping", 0x9f);
    connection.principal = principal;
    limitSession(context.limits, connection, principal);
    connection.claim = await context.transfer.take(client.id, principal);
    if (will && rights.topics.parse(will.topic)?.kind !== "availability") {
      connection.will = willOf(will, principal);
      await context.wills.promise(client.id, connection.will);
    }
    if (client.clean) return;
    // With nothing between the question and the claim: many may ask at once.
    if (!context.registry.hasRoom(client.id, principal, mostSessions(context.limits, principal)))
      throw new ConnectRefusal(3, "session_quota", 0x97);
    hasClaimed = true;
    await context.registry.claim(client.id, principal, client.sessionExpiryInterval * 1_000);
  }

  type Done = Parameters<Aedes["authenticate"]>[3];
  async function answer(client: ClientInternals, username: string | undefined, password: string | undefined, done: Done): Promise<void> {
    let refusal: ConnectRefusal | null = null;
    try {
      await admit(context.connectionOf(client), username, password);
    } catch (error) {
      refusal = refusalOf(context, client, error);
      if (TOLD.has(refusal.message)) tellRefusal(context, { client, username, reason: refusal.message });
    }
    // Aedes knows no such reason.
    if (refusal?.reasonCode !== undefined) return context.connectionOf(client).refuse(refusal.reasonCode, refusal.returnCode);
    done(refusal, refusal === null);
  }

  return {
    authenticate: (client, username, password, done) =>
      void answer(client as unknown as ClientInternals, username, password?.toString(), done),
    turnAway(match) {
      for (const unwanted of pending.values()) unwanted.push(match);
    },
    isWelcome(connection) {
      const { principal } = connection;
      const unwanted = pending.get(connection) ?? [];
      pending.delete(connection);
      return principal !== undefined && !unwanted.some((match) => match(principal));
    },
  };
}

/** A login that became no session. What it brought here from another node stays here. */
function abandon({ registry, transfer, wills }: AdmissionContext, { client, claim, will }: Connection, hasClaimed: boolean): void {
  // What another node has taken meanwhile is not this one's to forget.
  if (hasClaimed) registry.unclaim(client.id, { isOurs: claim?.isCurrent !== false });
  if (will) wills.retract(client.id);
  if (registry.find(client.id)) transfer.hold(client.id, claim);
  else claim?.end();
}

/** How long a session of this account outlives its connection at most, in seconds. */
export function longestExpiryS({ mqttSessionExpiryS, mqttServiceSessionExpiryS }: MqttLimits, { kind }: Principal): number {
  return kind === "service" ? mqttServiceSessionExpiryS : mqttSessionExpiryS;
}

function mostSessions({ mqttSessionsPerAccount, mqttServiceSessionsPerAccount }: MqttLimits, { kind }: Principal): number {
  return kind === "service" ? mqttServiceSessionsPerAccount : mqttSessionsPerAccount;
}

/** What the client asked for, within what its kind of account may have. MQTT 5 reads it in the CONNACK. */
function limitSession(limits: MqttLimits, { client, connect }: Connection, principal: Principal): void {
  client.sessionExpiryInterval = Math.min(client.sessionExpiryInterval, longestExpiryS(limits, principal));
  client.clean = client.sessionExpiryInterval === 0;
  const asked = connect?.keepalive ?? 0;
  const { mqttKeepaliveMinS, mqttKeepaliveMaxS } = limits;
  const served = asked === 0 ? mqttKeepaliveMaxS : Math.min(Math.max(asked, mqttKeepaliveMinS), mqttKeepaliveMaxS);
  if (served !== asked) client._serverKeepAlive = served;
}

/** CONNACK's return code of MQTT 3.1.1; Aedes translates it for MQTT 5. */
class ConnectRefusal extends Error {
  readonly returnCode: 2 | 3 | 4 | 5;
  /** Of MQTT 5, where Aedes' translation is not meant. */
  readonly reasonCode: number | undefined;

  constructor(returnCode: 2 | 3 | 4 | 5, reason: string, reasonCode?: number) {
    super(reason);
    this.returnCode = returnCode;
    this.reasonCode = reasonCode;
  }
}

function isValidClientId(clientId: string): boolean {
  return Buffer.byteLength(clientId) <= MAX_CLIENT_ID_BYTES && !hasControlCharacter(clientId);
}

/** A device's uid is the client id of that device alone; every other id is its user's while a session has it. */
async function checkOwnership({ rights, transfer }: AdmissionContext, clientId: string, principal: Principal): Promise<void> {
  const isForeign =
    principal.kind === "device" ? clientId !== principal.uid : isDeviceUid(clientId) && rights.directory.find(clientId) !== undefined;
  const holder = await transfer.ownerOf(clientId);
  if (isForeign || (holder && keyOf(holder) !== keyOf(principal))) throw new ConnectRefusal(2, "client_id_of_another");
}

/** What may be an attack; the rest is a client that does not fit. */
const TOLD = new Set(["bad_credentials", "too_many_failures", "client_id_of_another", "will_forbidden"]);

/** The name is not told: people type passwords there too. A device's is no secret. */
function tellRefusal(
  { security, rights }: AdmissionContext,
  { client, username, reason }: { readonly client: ClientInternals; readonly username: string | undefined; readonly reason: string },
): void {
  const device = rights.directory.find(username ?? client.id);
  security.note({
    action: "mqtt.login_refused",
    organizationId: device?.organizationId ?? null,
    ...(device ? { resource: { resourceType: "device", resourceId: device.id } } : {}),
    source: sourceOf(client.conn.remoteAddress),
    details: { reason, ...(device ? { uid: device.uid } : {}) },
  });
}

function refusalOf({ log, metrics }: AdmissionContext, client: ClientInternals, error: unknown): ConnectRefusal {
  const refusal = error instanceof ConnectRefusal ? error : new ConnectRefusal(3, "unavailable");
  if (refusal !== error) log.error({ err: error }, "a login could not be checked");
  metrics.count("hexahub_mqtt_logins_refused_total", { reason: refusal.message });
  log.info({ clientId: client.id, remoteAddress: client.conn.remoteAddress, reason: refusal.message }, "connection refused");
  return refusal;
}
