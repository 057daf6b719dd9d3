/** What the model speaks of. */
export interface Account {
  /** A device's is its uid. */
  readonly name: string;
  readonly kind: "person" | "service" | "device";
  readonly organization: string;
  readonly isAdmin: boolean;
}

export type Qos = 0 | 1 | 2;

export interface Message {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
  /** The client; undefined for the hub and for wills. */
  readonly by?: string;
}

/** A subscription. */
export interface Filter {
  readonly filter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly keepsRetain: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly id: number | undefined;
}

/** How a message looks to one client. */
export interface Form {
  readonly qos: Qos;
  readonly retain: boolean;
  readonly ids: readonly number[];
}

/** Exactly one of `to` gets the message; or nobody, if it is not sure. */
export interface Debt {
  readonly message: Message;
  readonly to: Map<string, Form>;
  /** Whose members share it; otherwise the client's id. */
  readonly group?: string;
  isSure: boolean;
}

export interface Will {
  readonly message: Message;
  /** Said when the session ends, if that is later than the connection. */
  readonly isLate: boolean;
}

export interface Login {
  readonly account: Account;
  readonly isClean: boolean;
  /** Whether the session outlives the connection. */
  readonly lasts: boolean;
  readonly will: Will | undefined;
}

export interface Session {
  readonly account: Account;
  isConnected: boolean;
  readonly lasts: boolean;
  will: Will | undefined;
  readonly filters: Map<string, Filter>;
}

export const isShared = ({ filter }: Filter): boolean => filter.startsWith("$share/");

/** `$share/<group>/<filter>` matches as the filter does. */
export function matches({ filter }: Filter, topic: string): boolean {
  const wanted = filter.replace(/^\$share\/[^/]+\//u, "").split("/");
  const levels = topic.split("/");
  const isAlike = (level: string, at: number): boolean => level === "#" || (at < levels.length && (level === "+" || level === levels[at]));
  return wanted.every(isAlike) && (wanted.at(-1) === "#" ? levels.length >= wanted.length - 1 : levels.length === wanted.length);
}

/** What the subscriptions of one client that match a message come to. */
export const formOf = (message: Message, matching: readonly { readonly one: Filter }[]): Form => ({
  qos: Math.min(message.qos, Math.max(...matching.map(({ one }) => one.qos))) as Qos,
  retain: message.retain && matching.some(({ one }) => one.keepsRetain),
  ids: matching.flatMap(({ one }) => one.id ?? []),
});
