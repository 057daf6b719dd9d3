import assert from "node:assert/strict";
import type { ApiClient, TestHub } from "../support/hub.ts";
import { codeOf, openRawClient } from "../support/raw-client.ts";
import type { Cast, Player } from "./model-cast.ts";
import { Clients, type Live } from "./model-clients.ts";
import type { ConnectStep, Step } from "./model-steps.ts";
import type { Fences } from "./model-fences.ts";
import { type Account, type Debt, formOf, isShared, type Session, type Will } from "./model-terms.ts";
import { createModel, type Model } from "./model.ts";

/** Sees all that people may see, from the beginning of a run to its end. */
export const WITNESS = "witness";
/** What a client takes where it says nothing: the hub's own setting. */
export const HUB_WINDOW = 1_000;
const EXPIRY_S = 3_600;
const RETURN_CODES: Readonly<Record<number, number>> = { 0x85: 2, 0x86: 4, 0x87: 5 };
const BUS_NAMES = ["a", "b", "a/b", "x/y/z"];
const FIRST_SHARER = 4;

/** Client ids that share filters, and hold nothing back. */
export const isSharer = (client: string): boolean => client.startsWith("client-") && Number(client.slice(7)) >= FIRST_SHARER;

export interface ConnectOptions extends Omit<ConnectStep, "kind" | "slot" | "player" | "will"> {
  readonly will: Will | undefined;
}

export const PLAIN: ConnectOptions = {
  node: 0,
  isStale: false,
  version: 4,
  isClean: true,
  lasts: false,
  will: undefined,
  window: undefined,
  holds: false,
};

/**
 * Hubs that share everything, their clients and the model beside them: what both do at once. Whatever differs is an AssertionError.
 *
 * One model holds for one node and for several, with these allowances for several, each of docs/decisions/0010:
 * - Order. What happens at one node after something was said at another begins when that has come there ({@link Fences}).
 * - Messages of QoS 0, and those that follow from a device's word, are sent when every node knows which sessions moved; those of
 *   QoS 1 and 2 at once.
 * - Shared filters. A node serves a group whether its members are connected or away, and whether they may have the message or
 *   not: so one that is away may get what a connected one of another node could have had, or nobody does. Members stay at one
 *   node, and who is a member changes before the next thing is said, not beside it.
 * - What was said before a client subscribes may reach the new subscription when the client has changed its node, since the node
 *   where it was still passes on what comes there.
 * - A device is given up when its coming is stored: nobody waits for that when it goes on at another node.
 * - A client id without a session that stays is its account's at its own node alone; the end of one that stayed is known elsewhere
 *   when it is stored. So another account tries at the same node.
 */
export class Stage implements AsyncDisposable {
  readonly cast: Cast;
  readonly model: Model;
  readonly clients: Clients;
  readonly fences: Fences;
  /** Where the session of each client is, or was. */
  readonly #nodes = new Map<string, number>();
  /** Who had each client id last. */
  readonly #accounts = new Map<string, string>();
  /** Clients that were at more than one node. */
  readonly #movers = new Set<string>();
  /** How often a client with a session came to another node. */
  moves = 0;
  /** Names everything that is sent. */
  count = 0;
  /** Of the reading that was made last, in ms since 1970. */
  #moment = 0;
  /** What was done in this run, to read when it fails. */
  trace: string[] = [];

  constructor(cast: Cast, fences: Fences) {
    this.cast = cast;
    this.fences = fences;
    this.model = createModel(new Map(cast.devices.map(({ account }) => [account.name, cast.organizations[0]])));
    this.clients = new Clients(this.model);
  }

  note(what: string, who: string, how?: unknown): void {
    this.trace.push(`${what} ${who} ${JSON.stringify(how) ?? ""}`);
  }

  live(client: string): Live {
    return this.clients.live.get(client) as Live;
  }

  device(at: number): Player {
    return pick(this.cast.devices, at) as Player;
  }

  api({ apis }: Player, node: number): ApiClient {
    return pick(apis, node) as ApiClient;
  }

  /** To be awaited before a client subscribes: all that was said before has come, and what is retained is to be found at its node. */
  async beforeSubscribing(client: string): Promise<void> {
    if (this.#movers.has(client)) await this.fences.pass();
    else await this.fences.before(this.live(client).node, false);
  }

  /** Waits until everybody has what is to come. */
  async settle(): Promise<void> {
    await this.fences.pass();
    await this.clients.settle();
  }

  /** From now on the clients are owed what the model says. `leaving` is the one whose connection is just ending. */
  expect(debts: readonly Debt[], leaving?: string): void {
    this.clients.ledger.owe(
      debts.map((debt) => this.#widened(debt)),
      leaving,
    );
  }

  /** Members of the group that are away, at nodes where none is connected, may be served too; or a node where nobody may have it. */
  #widened(debt: Debt): Debt {
    const { message, group, to, isSure } = debt;
    if (group === undefined || !group.startsWith("$share")) return debt;
    const members = [...this.model.sessions].flatMap(([client, { account, filters }]) => {
      const one = [...filters.values()].find((filter) => isShared(filter) && filter.filter + account.organization === group);
      const sees = this.model.sees(account, message.topic);
      return one === undefined ? [] : { client, node: this.#nodes.get(client), sees, form: formOf(message, [{ one }]) };
    });
    const here = new Set([...to.keys()].map((client) => this.#nodes.get(client)));
    const away = members.filter(({ node, sees }) => sees && !here.has(node));
    const served = new Set([...here, ...away.map(({ node }) => node)]);
    const isLost = away.some(({ form }) => form.qos === 0) || members.some(({ node }) => !served.has(node));
    const queued = away.filter(({ form }) => form.qos > 0).map(({ client, form }) => [client, form] as const);
    return { message, group, to: new Map([...to, ...queued]), isSure: isSure && !isLost };
  }

  /** Waits until every node knows whose the device is now, and everybody has what follows from it. */
  async rightsChanged(uid: string): Promise<void> {
    if (this.cast.hubs.length > 1) await this.fences.known(uid, this.model.owners.get(uid));
    await this.settle();
  }

  /** The witness sees whatever the hub says to people: when it has that, everybody can have it. */
  async owe(debts: readonly Debt[], leaving?: string): Promise<void> {
    this.expect(debts, leaving);
    if (debts.length > 0) await this.clients.settle([WITNESS]);
  }

  bus(organization: string, topic: number, isForeign: boolean): string {
    const other = this.cast.organizations.find((one) => one !== organization) as string;
    return `hexa-app/${isForeign ? other : organization}/bus/${pick(BUS_NAMES, topic)}`;
  }

  async connect(client: string, player: Player, how: ConnectOptions): Promise<boolean> {
    const { version, isClean, holds, will } = how;
    const lasts = version === 4 ? !isClean : how.lasts;
    const before = this.clients.live.get(client);
    if (before) await this.clients.settle([client]);
    const { account, passwords } = player;
    const session = this.model.sessions.get(client);
    const from = this.#nodes.get(client);
    const node = this.#nodeFor(client, account, how.node);
    const isStale = how.isStale && passwords.length > 1;
    this.note("connect", client, { as: account.name, ...how, node, lasts, isStale });
    // What the hub says of it, or what it says last, has its place behind what was said before.
    if (session?.will !== undefined || account.kind === "device") await this.fences.before(node);
    const answer = isStale ? 0x86 : this.model.connect(client, { account, isClean, lasts, will });
    const broker = new URL((this.cast.hubs[node] as TestHub).mqtt);
    const raw = await openRawClient({ host: broker.hostname, port: Number(broker.port) }, { version, acknowledges: !holds });
    const window = version === 5 ? how.window : undefined;
    const connack = await raw.connect({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: version,
      clientId: client,
      clean: isClean,
      keepalive: 600,
      username: player.username,
      password: Buffer.from((isStale ? passwords[0] : passwords.at(-1)) as string),
      ...(will ? { will: willPacket(will, version) } : {}),
      ...(version === 5
        ? { properties: { sessionExpiryInterval: lasts ? EXPIRY_S : 0, ...(window === undefined ? {} : { receiveMaximum: window }) } }
        : {}),
    });
    const refusal = typeof answer === "number" ? answer : 0;
    assert.equal(codeOf(connack), version === 5 ? refusal : (RETURN_CODES[refusal] ?? 0), `CONNACK for ${client}`);
    if (typeof answer === "number") {
      await raw.ended();
      return true;
    }
    assert.equal(connack.sessionPresent, answer.isPresent, `session present of ${client}`);
    if (before) await this.clients.supersede(client, 0x8e);
    if (from !== undefined && from !== node) this.#movers.add(client);
    if (this.#movers.has(client) && from !== node && session !== undefined) this.moves++;
    this.#nodes.set(client, node);
    this.#accounts.set(client, account.name);
    for (const one of [from ?? node, node]) {
      this.fences.moved(one);
      if (answer.debts.length > 0 || account.kind === "device" || isSharer(client)) this.fences.said(one);
    }
    const { ledger } = this.clients;
    if (answer.isPresent) ledger.rewind(client);
    else ledger.forget(client);
    this.clients.live.set(client, { raw, player, node, holds, window: window ?? HUB_WINDOW, released: new Set() });
    // Their PUBREL comes again and is answered by itself.
    if (!holds) for (const { packetId, isReceived } of ledger.unacknowledged(client)) if (isReceived) ledger.completed(client, packetId);
    await this.owe(answer.debts, before ? client : undefined);
    if (account.kind === "device" && !before) await this.announce(account.name, "online");
    await this.clients.settle([client]);
    return true;
  }

  /** Where the client is let in. */
  /** Later than the one before: of two readings of one moment the hub keeps the first. */
  nextMoment(): number {
    this.#moment = Math.max(Date.now(), this.#moment + 1);
    return this.#moment;
  }

  #nodeFor(client: string, account: Account, wanted: number): number {
    const session = this.model.sessions.get(client);
    const last = this.#nodes.get(client);
    // See the allowances.
    const isOthers = this.#accounts.get(client) !== account.name && session?.lasts !== true;
    const isBound = isSharer(client) || isOthers;
    const home = isSharer(client) ? Number(client.slice(7)) : last;
    return (isBound ? (home ?? wanted) : wanted) % this.cast.hubs.length;
  }

  /** What the hub says of a device's connection. */
  async announce(uid: string, status: "online" | "offline"): Promise<void> {
    const debts = this.model.publish({ topic: `hexa/${uid}/availability`, payload: status, qos: 1, retain: true });
    await this.owe([...debts, ...this.event(uid, status, this.model.owners.get(uid))]);
  }

  event(uid: string, what: string, organization: string | undefined): Debt[] {
    if (organization === undefined) return [];
    return this.model.publish({ topic: `hexa-app/${organization}/events/device.${what}`, payload: uid, qos: 1, retain: false });
  }

  async end(client: string, wanted: Extract<Step, { kind: "end" }>["how"]): Promise<boolean> {
    const { raw, node, player } = this.live(client);
    const session = this.model.sessions.get(client) as Session;
    const lasts = this.model.sessions.get(client)?.lasts === true;
    const how = (raw.version === 4 && wanted === "with will") || (wanted === "forever" && (!lasts || raw.version === 4)) ? "bye" : wanted;
    this.note("end", client, how);
    if (session.will !== undefined || player.account.kind === "device") await this.fences.before(node);
    await this.clients.settle([client]);
    const debts = this.model.end(client, {
      saysWill: how === "with will" || how === "drop" || how === "garbage",
      isOver: !lasts || how === "forever",
    });
    if (how === "bye") await raw.disconnect();
    else if (how === "with will") await raw.disconnect({ reasonCode: 4 });
    else if (how === "forever") await raw.disconnect({ properties: { sessionExpiryInterval: 0 } });
    else if (how === "drop" && !isSharer(client)) {
      await raw.drop();
      await this.fences.noticed(node);
    } else {
      raw.write(Buffer.from([0xf0, 0]));
      await raw.ended();
    }
    await this.gone(client, debts);
    return true;
  }

  /** After the end of a connection. */
  async gone(client: string, debts: readonly Debt[]): Promise<void> {
    const { node, player } = this.live(client);
    const { account } = player;
    this.clients.live.delete(client);
    if (debts.length > 0 || account.kind === "device" || isSharer(client)) this.fences.said(node);
    if (this.model.sessions.has(client)) this.clients.ledger.rewind(client);
    else this.clients.ledger.forget(client);
    await this.owe(debts, client);
    if (account.kind === "device") await this.announce(account.name, "offline");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.clients[Symbol.dispose]();
    await this.fences[Symbol.asyncDispose]();
    await this.cast[Symbol.asyncDispose]();
  }
}

function willPacket({ message: { topic, payload, qos, retain }, isLate }: Will, version: 4 | 5) {
  const properties = version === 5 && isLate ? { properties: { willDelayInterval: EXPIRY_S } } : {};
  return { topic, payload: Buffer.from(payload), qos, retain, ...properties };
}

/** One of several by any number; undefined of none. */
export function pick<T>(from: readonly T[], at: number): T | undefined {
  return from[at % from.length];
}
