import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import { isValidFilter, mayReceive, maySubscribe, type Rights } from "../core/authorize.ts";
import type { Connection } from "./connection.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Retained } from "./retained.ts";
import { announcedAs, parseShared, type Router } from "./router.ts";
import type { Feed, Session, Subscription } from "./session.ts";
import { type Asked, readSubscribe, readUnsubscribe, subackFrame, unsubackFrame } from "./subscribe-frame.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SubscribeFlowContext {
  readonly rights: Rights;
  readonly router: Router;
  readonly retained: Retained;
  readonly neighbours: Neighbours;
  readonly rows: WriteBehind;
  readonly limits: MqttLimits;
  readonly log: Log;
  readonly clock: () => number;
  /** Called when a client has new subscriptions. */
  readonly onSubscribed: (connection: Connection) => void;
}

/** A filter costs less than a message, and Home Assistant asks for a thousand when it starts. */
const FILTERS_A_MESSAGE = 10;
/** SUBACK's reasons of MQTT 5; 3.1.1 has one for all. */
const REFUSED = { notAuthorized: 0x87, filterInvalid: 0x8f, quota: 0x97, any: 0x80 } as const;
const NO_SUBSCRIPTION = 0x11;
const SUBSCRIBE = 8;

type Grant = { readonly subscription: Subscription; readonly isNew: boolean } | { readonly reasonCode: number };

/** What becomes of SUBSCRIBE and UNSUBSCRIBE. */
export function createSubscribeFlow(context: SubscribeFlowContext): (connection: Connection, frame: Buffer) => void {
  const { rights, router, retained, rows, neighbours, limits, log, clock } = context;

  function grant(session: Session, { filter, ...asked }: Asked, id: number | undefined): Grant {
    const { principal } = session;
    const shared = parseShared(filter);
    const inner = shared?.filter ?? filter;
    if (!isValidFilter(inner)) return { reasonCode: REFUSED.filterInvalid };
    if (!maySubscribe(rights, principal, inner) || (shared && principal.kind === "device")) return { reasonCode: REFUSED.notAuthorized };
    if (!session.subscriptions.has(filter) && session.subscriptions.size >= mostOf(limits, principal)) return { reasonCode: REFUSED.quota };
    const subscription: Subscription = { filter, ...asked, id };
    const isNew = router.subscribe(session, subscription);
    if (session.isDurable) rows.put("subscription", session.id, filter, subscription);
    return { subscription, isNew };
  }

  function subscribe(connection: Connection, frame: Buffer): void {
    const { version } = connection;
    const session = connection.session as Session;
    // More than there may be in all are not looked at, or everybody would wait for one packet of 65,000.
    const { packetId, id, asked, count } = readSubscribe(frame, version, mostOf(limits, session.principal));
    connection.spend(Math.ceil(count / FILTERS_A_MESSAGE));
    const grants = asked.map((one) => grant(session, one, id));
    const codes = grants.map((one) => reasonOf(one, version));
    while (codes.length < count) codes.push(version === 5 ? REFUSED.quota : REFUSED.any);
    const announced = grants.map((one) =>
      "subscription" in one && one.isNew ? neighbours.announced(announcedAs(session, one.subscription.filter)) : undefined,
    );
    answer(connection, subackFrame(version, packetId, codes), announced, () => {
      for (const one of grants) if ("subscription" in one) sendRetained(session, one.subscription, one.isNew);
      context.onSubscribed(connection);
    });
  }

  function unsubscribe(connection: Connection, frame: Buffer): void {
    const { version } = connection;
    const session = connection.session as Session;
    const { packetId, filters } = readUnsubscribe(frame, version);
    connection.spend(Math.ceil(filters.length / FILTERS_A_MESSAGE));
    const codes = filters.map((filter) => {
      if (!router.unsubscribe(session, filter)) return NO_SUBSCRIPTION;
      session.stopFeed(filter);
      if (session.isDurable) rows.delete("subscription", session.id, filter);
      return 0;
    });
    answer(connection, unsubackFrame(version, packetId, codes), [], () => undefined);
  }

  /** A durable session's filters are committed before they are confirmed, and every node that may have a message for them knows of them. */
  function answer(connection: Connection, reply: Buffer, announced: readonly (Promise<void> | undefined)[], then: () => void): void {
    const send = (): void => {
      if (connection.isClosed) return;
      connection.output.append(reply);
      then();
    };
    const waits = announced.filter((one) => one !== undefined);
    if (connection.session?.isDurable) waits.push(rows.flushed());
    if (waits.length === 0) return send();
    Promise.all(waits).then(send, (error: unknown) => {
      log.error({ err: error, clientId: connection.client.id }, "subscriptions could not be stored");
      connection.stream.destroy();
    });
  }

  function sendRetained(session: Session, subscription: Subscription, isNew: boolean): void {
    const { filter, retainHandling, qos, id } = subscription;
    if (retainHandling === 2 || (retainHandling === 1 && !isNew) || parseShared(filter)) return;
    const reach = { qos, retain: true, subscriptionIds: id === undefined ? undefined : [id] };
    const { principal } = session;
    function* feed(): Feed {
      for (const message of retained.matching(filter, clock())) {
        const topic = message && rights.topics.parse(message.topic);
        yield message && topic && mayReceive(rights, principal, topic) ? { message, reach } : undefined;
      }
    }
    session.feed(filter, feed());
  }

  return (connection, frame) => {
    if ((frame[0] as number) >> 4 === SUBSCRIBE) subscribe(connection, frame);
    else unsubscribe(connection, frame);
  };
}

function mostOf(limits: MqttLimits, principal: Principal): number {
  if (principal.kind !== "service") return limits.mqttSubscriptions;
  return principal.purpose === undefined ? limits.mqttServiceSubscriptions : limits.mqttHomeSubscriptions;
}

function reasonOf(grant: Grant, version: number): number {
  if ("subscription" in grant) return grant.subscription.qos;
  return version === 5 ? grant.reasonCode : REFUSED.any;
}
