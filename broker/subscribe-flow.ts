import mqttPacket from "mqtt-packet";
import type { ISubscribePacket, IUnsubscribePacket, Packet } from "mqtt-packet";
import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import { isValidFilter, mayReceive, maySubscribe, type Rights } from "./authorize.ts";
import type { Connection } from "./connection.ts";
import { readPacket } from "./packet-reader.ts";
import type { Retained } from "./retained.ts";
import { parseShared, type Router } from "./router.ts";
import type { Feed, Session, Subscription } from "./session.ts";
import type { WriteBehind } from "./write-behind.ts";

export interface SubscribeFlowContext {
  readonly rights: Rights;
  readonly router: Router;
  readonly retained: Retained;
  readonly rows: WriteBehind;
  readonly limits: MqttLimits;
  readonly log: Log;
  readonly clock: () => number;
  /** Called when a client has new subscriptions. */
  readonly onSubscribed: (connection: Connection) => void;
}

/** SUBACK's reasons of MQTT 5; 3.1.1 has one for all. */
const REFUSED = { notAuthorized: 0x87, filterInvalid: 0x8f, quota: 0x97, any: 0x80 } as const;
const NO_SUBSCRIPTION = 0x11;

type Grant = { readonly subscription: Subscription; readonly isNew: boolean } | { readonly reasonCode: number };

/** What becomes of SUBSCRIBE and UNSUBSCRIBE. */
export function createSubscribeFlow(context: SubscribeFlowContext): (connection: Connection, frame: Buffer) => void {
  const { rights, router, retained, rows, limits, log, clock } = context;

  function grant(session: Session, asked: ISubscribePacket["subscriptions"][number], id: number | undefined): Grant {
    const { topic: filter } = asked;
    const { principal } = session;
    const shared = parseShared(filter);
    const inner = shared?.filter ?? filter;
    if (!isValidFilter(inner)) return { reasonCode: REFUSED.filterInvalid };
    if (!maySubscribe(rights, principal, inner) || (shared && principal.kind === "device")) return { reasonCode: REFUSED.notAuthorized };
    if (!session.subscriptions.has(filter) && session.subscriptions.size >= mostOf(limits, principal)) return { reasonCode: REFUSED.quota };
    const subscription: Subscription = {
      filter,
      qos: asked.qos,
      noLocal: asked.nl === true,
      retainAsPublished: asked.rap === true,
      retainHandling: (asked.rh ?? 0) as 0 | 1 | 2,
      id,
    };
    const isNew = router.subscribe(session, subscription);
    if (session.isDurable) rows.put("subscription", session.id, filter, subscription);
    return { subscription, isNew };
  }

  function subscribe(connection: Connection, { messageId, subscriptions, properties }: ISubscribePacket): void {
    const session = connection.session as Session;
    const id = subscriptionId(properties?.subscriptionIdentifier);
    const most = mostOf(limits, session.principal);
    // More than there may be in all are not looked at: one packet has room for 65,000, and everybody would wait for them.
    const grants = subscriptions.map((asked, index) => (index < most ? grant(session, asked, id) : { reasonCode: REFUSED.quota }));
    const granted = grants.map((one) => reasonOf(one, connection.version));
    answer(connection, { cmd: "suback", messageId: messageId as number, granted } as Packet, () => {
      for (const one of grants) if ("subscription" in one) sendRetained(session, one.subscription, one.isNew);
      context.onSubscribed(connection);
    });
  }

  function unsubscribe(connection: Connection, { messageId, unsubscriptions }: IUnsubscribePacket): void {
    const session = connection.session as Session;
    const granted = unsubscriptions.map((filter) => {
      if (!router.unsubscribe(session, filter)) return NO_SUBSCRIPTION;
      session.stopFeed(filter);
      if (session.isDurable) rows.delete("subscription", session.id, filter);
      return 0;
    });
    answer(connection, { cmd: "unsuback", messageId: messageId as number, granted } as Packet, () => undefined);
  }

  /** A durable session's filters are committed before they are confirmed. */
  function answer(connection: Connection, packet: Packet, then: () => void): void {
    const reply = (): void => {
      if (connection.isClosed) return;
      connection.output.append(mqttPacket.generate(packet, { protocolVersion: connection.version }));
      then();
    };
    if (!connection.session?.isDurable) return reply();
    rows.flushed().then(reply, (error: unknown) => {
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
    const packet = readPacket(frame, connection.version);
    if (packet.cmd === "subscribe") subscribe(connection, packet);
    else if (packet.cmd === "unsubscribe") unsubscribe(connection, packet);
  };
}

function mostOf({ mqttSubscriptions, mqttServiceSubscriptions }: MqttLimits, principal: Principal): number {
  return principal.kind === "service" ? mqttServiceSubscriptions : mqttSubscriptions;
}

const subscriptionId = (id: number | number[] | undefined): number | undefined => (Array.isArray(id) ? id[0] : id);

function reasonOf(grant: Grant, version: number): number {
  if ("subscription" in grant) return grant.subscription.qos;
  return version === 5 ? grant.reasonCode : REFUSED.any;
}
