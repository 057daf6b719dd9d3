/** The rules of the broker in plain words: who may say and hear what, and who gets which message. */
export interface Account {
  /** A device's is its uid. */
  readonly name: string;
  readonly kind: "person" | "service" | "device";
  readonly organization: string;
  readonly isAdmin: boolean;
}
export type Qos = 0 | 1 | 2;
export type Message = {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly by?: string;
};
export type Filter = {
  filter: string;
  qos: Qos;
  noLocal: boolean;
  keepsRetain: boolean;
  retainHandling: 0 | 1 | 2;
  id: number | undefined;
};
/** How a message looks to one client. */
export type Form = { readonly qos: Qos; readonly retain: boolean; readonly ids: readonly number[] };
/** Exactly one of `to` gets the message; or nobody, if it is not sure. */
export type Debt = { readonly message: Message; readonly to: Map<string, Form>; isSure: boolean };
export type Will = { readonly message: Message; readonly isLate: boolean };
export type Login = { readonly account: Account; readonly isClean: boolean; readonly lasts: boolean; readonly will: Will | undefined };
type Session = { account: Account; isConnected: boolean; lasts: boolean; will: Will | undefined; readonly filters: Map<string, Filter> };

const matches = ([f, ...rest]: string[], topic: string[]): boolean =>
  f === "#" || (f === undefined ? topic.length === 0 : topic.length > 0 && (f === "+" || f === topic[0]) && matches(rest, topic.slice(1)));
const unshared = (filter: string): string => filter.replace(/^\$share\/[^/]+\//u, "");
const least = (a: Qos, b: Qos): Qos => (a < b ? a : b);

/** `owners` has the organisation of every device. */
export function createModel(owners: Map<string, string | undefined>) {
  const [sessions, retained] = [new Map<string, Session>(), new Map<string, Message>()];
  const inside = (account: Account, organization?: string): boolean => account.isAdmin || account.organization === organization;
  function sees({ ...account }: Account, topic: string): boolean {
    const [root, id = "", group] = topic.split("/");
    if (account.kind === "device") return root === "hexa" && id === account.name && group === "down";
    return root === "hexa" ? group !== "down" && owners.has(id) && inside(account, owners.get(id)) : inside(account, id);
  }
  function maySubscribe(account: Account, filter: string): boolean {
    const [root = "", id = "+", ...rest] = unshared(filter).split("/");
    if (account.kind === "device")
      return root === "hexa" && id === account.name && rest[0] === "down" && rest.length === 2 && filter.startsWith(root);
    if (root === "hexa" && !"+#".includes(id)) return rest.length > 0 && owners.has(id) && inside(account, owners.get(id));
    return root === "hexa-app" ? "+#".includes(id) || inside(account, id) : ["+", "#", "hexa", "homeassistant"].includes(root);
  }
  function mayPublish(account: Account, topic: string): boolean {
    const [root, id, group] = topic.split("/");
    if (account.kind === "device") return root === "hexa" && id === account.name && (group === "up" || group === "availability");
    return root === "hexa-app" && group === "bus" && inside(account, id);
  }
  const formOf = (message: Message, filters: readonly Filter[], keepsRetain: boolean): Form => ({
    qos: least(message.qos, Math.max(...filters.map(({ qos }) => qos)) as Qos),
    retain: message.retain && (keepsRetain || filters.some((filter) => filter.keepsRetain)),
    ids: filters.flatMap(({ id }) => id ?? []),
  });
  function publish(message: Message): Debt[] {
    if (message.retain && message.payload === "") retained.delete(message.topic);
    else if (message.retain) retained.set(message.topic, message);
    const groups = new Map<string, Map<string, Form>>();
    for (const [client, { account, filters }] of sessions) {
      const hits = [...filters.values()].filter(({ filter }) => matches(unshared(filter).split("/"), message.topic.split("/")));
      const isHeard = ({ noLocal }: Filter): boolean => sees(account, message.topic) && !(noLocal && message.by === client);
      for (const [group, same] of Map.groupBy(hits.filter(isHeard), ({ filter }) =>
        filter.startsWith("$") ? `${account.organization}${filter}` : client,
      ))
        groups.set(group, (groups.get(group) ?? new Map<string, Form>()).set(client, formOf(message, same, false)));
    }
    return [...groups.values()].flatMap((members) => {
      const here = [...members].filter(([client]) => sessions.get(client)?.isConnected);
      const to = here.length > 0 ? here : [...members].filter(([, { qos }]) => qos > 0);
      return to.length > 0 ? { message, to: new Map(to), isSure: here.length > 0 || to.length === members.size } : [];
    });
  }
  /** Whether each is granted, and the retained messages that follow. */
  function subscribe(client: string, asked: readonly Filter[]): { grants: boolean[]; debts: Debt[] } {
    const { account, filters } = sessions.get(client) as Session;
    const debts: Debt[] = [];
    const grants = asked.map((one) => {
      if (!maySubscribe(account, one.filter)) return false;
      const isSent = !one.filter.startsWith("$") && (one.retainHandling === 0 || (one.retainHandling === 1 && !filters.has(one.filter)));
      filters.set(one.filter, one);
      for (const message of isSent ? retained.values() : [])
        if (matches(one.filter.split("/"), message.topic.split("/")) && sees(account, message.topic))
          debts.push({ message, to: new Map([[client, formOf(message, [one], true)]]), isSure: true });
      return true;
    });
    return { grants, debts };
  }
  /** The connection is over, and the session with it if it does not last. What the client leaves behind is said now or with the session's end. */
  function end(client: string, { saysWill, isOver }: { saysWill: boolean; isOver: boolean }): Debt[] {
    const session = sessions.get(client) as Session;
    const { account, will } = session;
    session.isConnected = false;
    if (isOver) sessions.delete(client);
    const isSaid = saysWill && will !== undefined && (isOver || !will.isLate);
    if (isSaid || !saysWill) session.will = undefined;
    return isSaid && mayPublish(account, will.message.topic) && !will.message.topic.endsWith("availability") ? publish(will.message) : [];
  }
  /** The reason of a refusal as in MQTT 5, or whether there is a session to go on with. */
  function connect(client: string, { account, isClean, lasts, will }: Login): { refusal: number } | { isPresent: boolean; debts: Debt[] } {
    const old = sessions.get(client);
    if (account.kind === "device" ? client !== account.name : owners.has(client)) return { refusal: 0x85 };
    if (old && old.account.name !== account.name) return { refusal: 0x85 };
    if (will && !mayPublish(account, will.message.topic)) return { refusal: 0x87 };
    const isPresent = old !== undefined && !isClean && (old.lasts || !old.isConnected);
    const debts = old ? end(client, { saysWill: true, isOver: !isPresent }) : [];
    sessions.set(client, { account, isConnected: true, lasts, will, filters: isPresent ? old.filters : new Map<string, Filter>() });
    return { isPresent, debts };
  }
  return { owners, sessions, retained, sees, mayPublish, publish, subscribe, end, connect };
}
export type Model = ReturnType<typeof createModel>;
