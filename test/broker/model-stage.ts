import assert from "node:assert/strict";
import { codeOf, openRawClient } from "../support/raw-client.ts";
import type { Cast, Player } from "./model-cast.ts";
import { Clients, type Live } from "./model-clients.ts";
import type { ConnectStep, Step } from "./model-steps.ts";
import type { Debt, Will } from "./model-terms.ts";
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
  isStale: false,
  version: 4,
  isClean: true,
  lasts: false,
  will: undefined,
  window: undefined,
  holds: false,
};

/** A hub, its clients and the model beside them: what both do at once. Whatever differs is an AssertionError. */
export class Stage implements AsyncDisposable {
  readonly cast: Cast;
  readonly model: Model;
  readonly clients: Clients;
  /** The brokers of the nodes; a connection goes to one after the other. */
  readonly brokers: readonly URL[];
  /** Names everything that is sent. */
  count = 0;
  /** What was done in this run, to read when it fails. */
  trace: string[] = [];

  constructor(cast: Cast, brokers: readonly string[]) {
    this.cast = cast;
    this.brokers = brokers.map((url) => new URL(url));
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

  /** The witness sees whatever the hub says to people: when it has that, everybody can have it. */
  async owe(debts: readonly Debt[], leaving?: string): Promise<void> {
    this.clients.ledger.owe(debts, leaving);
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
    const isStale = how.isStale && passwords.length > 1;
    this.note("connect", client, { as: account.name, ...how, lasts, isStale });
    const answer = isStale ? 0x86 : this.model.connect(client, { account, isClean, lasts, will });
    const broker = this.brokers[this.count++ % this.brokers.length] as URL;
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
    const { ledger } = this.clients;
    if (answer.isPresent) ledger.rewind(client);
    else ledger.forget(client);
    this.clients.live.set(client, { raw, player, holds, window: window ?? HUB_WINDOW, released: new Set() });
    // Their PUBREL comes again and is answered by itself.
    if (!holds) for (const { packetId, isReceived } of ledger.unacknowledged(client)) if (isReceived) ledger.completed(client, packetId);
    await this.owe(answer.debts, before ? client : undefined);
    if (account.kind === "device" && !before) await this.announce(account.name, "online");
    await this.clients.settle([client]);
    return true;
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
    const { raw } = this.live(client);
    const lasts = this.model.sessions.get(client)?.lasts === true;
    const how = (raw.version === 4 && wanted === "with will") || (wanted === "forever" && (!lasts || raw.version === 4)) ? "bye" : wanted;
    this.note("end", client, how);
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
      // The hub hears of the end before it hears of what comes afterwards, and takes it a turn later.
      for (let round = 0; round < 3; round++) await this.live(WITNESS).raw.ping();
    } else {
      raw.write(Buffer.from([0xf0, 0]));
      await raw.ended();
    }
    await this.gone(client, debts);
    return true;
  }

  /** After the end of a connection. */
  async gone(client: string, debts: readonly Debt[]): Promise<void> {
    const { account } = this.live(client).player;
    this.clients.live.delete(client);
    if (this.model.sessions.has(client)) this.clients.ledger.rewind(client);
    else this.clients.ledger.forget(client);
    await this.owe(debts, client);
    if (account.kind === "device") await this.announce(account.name, "offline");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.clients[Symbol.dispose]();
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
