import type { Duplex } from "node:stream";
import type { Aedes, AedesPublishPacket, Client } from "aedes";

/*
 * What aedes 2.0.0-beta.1 keeps on its client and its broker beyond its types. The hub mends from outside what the beta gets wrong,
 * and this is the whole list of what it touches; the exact pin in package.json makes that safe.
 */

export interface BrokerInternals {
  /** By client id. */
  readonly clients: Readonly<Record<string, ClientInternals>>;
  /** Client ids whose old connection is being closed for a new one. */
  readonly _takingOver: ReadonlySet<string>;
}

/**
 * The broker's list of clients, with a prototype of its own: on a plain object a client id such as "constructor" counts as
 * connected, and the take-over of what is no client throws.
 */
export function clientsOf(aedes: Aedes): BrokerInternals {
  return Object.assign(aedes as Aedes & BrokerInternals, { clients: Object.create(null) as BrokerInternals["clients"] });
}

export interface ClientInternals extends Client {
  readonly conn: Duplex & {
    readonly socket?: { close(code: number, reason: string): void };
    readonly remoteAddress?: string;
    readonly encrypted?: boolean;
  };
  readonly _parser: { parse(chunk: Buffer): number };
  readonly _will?: AedesPublishPacket | null;
  readonly will?: AedesPublishPacket | null;
  readonly subscriptions: Readonly<Record<string, { readonly qos: number }>>;
  duplicates: Record<string, number>;
  deliver0: Deliver;
  deliverQoS: Deliver;
  readonly errored: boolean;
}

type Deliver = (packet: DeliveredPacket, done: () => void) => unknown;

export type DeliveredPacket = AedesPublishPacket & { readonly brokerId?: string; readonly brokerCounter?: number };

/** A publish on its way through Aedes' handlers; `_notAuthorized` makes them drop it without an answer of their own. */
export interface InboundPublish {
  topic: string;
  payload: Buffer | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  messageId?: number;
  properties?: Record<string, unknown>;
  _notAuthorized?: boolean;
}
