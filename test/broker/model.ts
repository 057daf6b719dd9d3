import { type Account, type Debt, type Filter, formOf, isShared, type Login, matches, type Message, type Session } from "./model-terms.ts";

/**
 * The rules of the broker: who may say and hear what, and who gets which message. It knows nothing of packets and time;
 * each function is one thing that happens. `owners` has the organisation of every device.
 */
export function createModel(owners: Map<string, string | undefined>) {
  const [sessions, retained] = [new Map<string, Session>(), new Map<string, Message>()];
  const isIn = (account: Account, organization?: string): boolean => account.isAdmin || account.organization === organization;
  function sees(account: Account, topic: string): boolean {
    const [root, id = "", group] = topic.split("/");
    return group === "down" ? account.name === id : account.kind !== "device" && isIn(account, root === "hexa" ? owners.get(id) : id);
  }
  function maySubscribe(account: Account, filter: string): boolean {
    const [root = "", id = "+", ...rest] = filter.replace(/^\$share\/[^/]+\//u, "").split("/");
    if (account.kind === "device") return filter.startsWith(`hexa/${account.name}/down/`) && rest.length === 2;
    if (root === "hexa" && !"+#".includes(id)) return owners.has(id) && isIn(account, owners.get(id));
    return root === "hexa-app" ? "+#".includes(id) || isIn(account, id) : ["+", "#", "hexa"].includes(root);
  }
  function mayPublish(account: Account, topic: string): boolean {
    const [, id, group = ""] = topic.split("/");
    return account.kind === "device" ? id === account.name && /^(up|availability)$/.test(group) : group === "bus" && isIn(account, id);
  }
  /** One delivery for all subscriptions of a session, and one for all members of a group: the connected ones first. */
  function publish(message: Message, { topic, payload, retain, by } = message): Debt[] {
    if (retain) retained[payload === "" ? "delete" : "set"](topic, message);
    const every = [...sessions].flatMap(([client, { account, filters }]) => [...filters.values()].map((one) => ({ client, account, one })));
    const hits = every.filter(({ client, account, one }) => sees(account, topic) && matches(one, topic) && !(one.noLocal && client === by));
    const groups = Map.groupBy(hits, ({ client, account, one }) => (isShared(one) ? one.filter + account.organization : client));
    return [...groups].flatMap(([group, all]) => {
      const members = [...Map.groupBy(all, ({ client }) => client)].map(([client, same]) => [client, formOf(message, same)] as const);
      const here = members.filter(([client]) => sessions.get(client)?.isConnected);
      const to = here.length > 0 ? here : members.filter(([, { qos }]) => qos > 0);
      return to.length === 0 ? [] : { message, group, to: new Map(to), isSure: here.length > 0 || to.length === members.length };
    });
  }
  /** For each filter the retained messages that follow; undefined where it is refused. */
  function subscribe(client: string, asked: readonly Filter[]): (Debt[] | undefined)[] {
    const { account, filters } = sessions.get(client) as Session;
    return asked.map((one) => {
      if (!maySubscribe(account, one.filter)) return undefined;
      const isSent = !isShared(one) && one.retainHandling < (filters.has(one.filter) ? 1 : 2);
      filters.set(one.filter, one);
      const found = [...retained.values()].filter(({ topic }) => isSent && matches(one, topic) && sees(account, topic));
      return found.map((message) => ({ message, to: new Map([[client, { ...formOf(message, [{ one }]), retain: true }]]), isSure: true }));
    });
  }
  /** The connection is over, and the session if that ends with it; a late will waits for the session's end. */
  function end(client: string, { saysWill, isOver }: { saysWill: boolean; isOver: boolean }): Debt[] {
    const session = sessions.get(client) as Session;
    const { account, will } = session;
    session.isConnected = false;
    if (isOver) sessions.delete(client);
    if (saysWill && will?.isLate && !isOver) return [];
    session.will = undefined;
    return saysWill && will && account.kind !== "device" && mayPublish(account, will.message.topic) ? publish(will.message) : [];
  }
  /** The reason of a refusal as in MQTT 5; or whether there is a session to go on with, and what the end of the old connection brings. */
  function connect(client: string, { account, isClean, lasts, will }: Login): number | { isPresent: boolean; debts: Debt[] } {
    const old = sessions.get(client);
    const isForeign = account.kind === "device" ? client !== account.name : owners.has(client);
    if (isForeign || (old && old.account.name !== account.name)) return 0x85;
    if (will && !mayPublish(account, will.message.topic)) return 0x87;
    const isPresent = old !== undefined && !isClean && (old.lasts || !old.isConnected);
    const debts = old ? end(client, { saysWill: true, isOver: !isPresent }) : [];
    sessions.set(client, { account, isConnected: true, lasts, will, filters: isPresent ? old.filters : new Map<string, Filter>() });
    return { isPresent, debts };
  }
  return { owners, sessions, retained, sees, mayPublish, publish, subscribe, end, connect };
}
export type Model = ReturnType<typeof createModel>;
