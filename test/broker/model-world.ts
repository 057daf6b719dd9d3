import assert from "node:assert/strict";
import { codeOf, openRawClient } from "../support/raw-client.ts";
import { Clients, type Live } from "./model-clients.ts";
import { type Cast, type Player, startCast } from "./model-cast.ts";
import type { ConnectStep, FilterStep, PublishStep, Step } from "./model-steps.ts";
import { createModel, type Debt, type Filter, type Message, type Model, type Will } from "./model.ts";

/** Client ids beside the devices' own, and whose they are at first. Sharers use filters that they share, and hold nothing back. */
const SLOTS = ["alice", "mallory", "home-service", "admin", "alice", "home-service", "mallory", "other-service"] as const;
const FIRST_SHARER = 4;
const WITNESS = "witness";
/** What a client takes where it says nothing: the hub's own setting. */
const HUB_WINDOW = 1_000;
const EXPIRY_S = 3_600;
const RETURN_CODES: Readonly<Record<number, number>> = { 0x85: 2, 0x86: 4, 0x87: 5 };
const FILTERS = [
  "#",
  "+/+/bus/#",
  "hexa-app/{own}/bus/#",
  "hexa-app/{own}/bus/a",
  "hexa-app/{own}/bus/+",
  "hexa-app/+/bus/a/#",
  "hexa-app/+/events/+",
  "hexa/#",
  "hexa/+/availability",
  "hexa/+/sensor/+/state",
  "hexa/{device}/#",
  "hexa/{device}/up/+",
  "hexa/{device}/availability",
  "hexa/nobody-knows-it/#",
  "hexa-app/{other}/#",
  "hexa/+/down/#",
  "$SYS/#",
  "something/#",
];
const SHARED = ["#", "+/+/bus/#", "hexa/#", "hexa-app/{own}/bus/a"];
const DEVICE_FILTERS = [
  "hexa/{own}/down/registered",
  "hexa/{own}/down/#",
  "hexa/{own}/#",
  "hexa/{device}/down/#",
  "#",
  "$share/g/hexa/{own}/down/#",
];
const NAMES = ["a", "b", "a/b", "x/y/z"];
const REPORTS = ["telemetry", "telemetry", "heartbeat", "register", "availability"] as const;

/** Real clients of a real hub, whose every step the model takes too. Whatever differs is an AssertionError. */
export class World implements AsyncDisposable {
  readonly #cast: Cast;
  readonly #model: Model;
  readonly #clients: Clients;
  /** The brokers of the nodes; a connection goes to one after the other. */
  readonly #brokers: readonly URL[];
  #count = 0;
  /** What was done in this run, to read when it fails. */
  #trace: string[] = [];

  constructor(cast: Cast, brokers: readonly string[]) {
    this.#cast = cast;
    this.#brokers = brokers.map((url) => new URL(url));
    this.#model = createModel(new Map(cast.devices.map(({ account }) => [account.name, cast.organizations[0]])));
    this.#clients = new Clients(this.#model);
  }

  get trace(): string {
    return this.#trace.join("\n");
  }

  get deliveries(): number {
    return this.#clients.ledger.arrivals;
  }

  /** Every run begins alike: no sessions but the witness's, nothing retained, and each device where it is said. */
  async begin(owners: readonly number[]): Promise<void> {
    this.#trace = [];
    if (!this.#clients.live.has(WITNESS)) {
      await this.#connect(WITNESS, this.#cast.admin, { ...PLAIN, version: 5 });
      await this.#subscribe(WITNESS, [{ filter: "#", qos: 1, noLocal: false, keepsRetain: false, retainHandling: 0, id: undefined }]);
    }
    for (const [at, device] of this.#cast.devices.entries()) {
      const wanted = owners[at] ?? 2;
      const { name: uid } = device.account;
      const isTouched = [...this.#model.retained.keys()].some((topic) => topic.startsWith(`hexa/${uid}/`));
      if (isTouched && this.#model.owners.get(uid) === undefined) await this.#claim(device, 0);
      const owner = this.#model.owners.get(uid);
      if (isTouched || owner !== this.#cast.organizations[wanted]) await this.#release(device);
      if (this.#model.owners.get(uid) === undefined && wanted < 2) await this.#claim(device, wanted === 0 ? 0 : 1);
    }
  }

  async finish(): Promise<void> {
    await this.#clients.settle();
    for (const [client, { account, isConnected }] of [...this.#model.sessions]) {
      if (client === WITNESS) continue;
      if (isConnected) await this.#end(client, "bye");
      if (!this.#model.sessions.has(client)) continue;
      await this.#connect(client, this.#cast.players.get(account.name) as Player, PLAIN);
      await this.#end(client, "bye");
    }
    for (const topic of [...this.#model.retained.keys()])
      if (topic.startsWith("hexa-app/")) await this.#send(WITNESS, { topic, payload: "", qos: 0, retain: true, by: WITNESS });
    await this.#clients.settle();
  }

  /** False when there is nothing to do it with. */
  async take(step: Step): Promise<boolean> {
    switch (step.kind) {
      case "connect":
        return this.#connectStep(step);
      case "settle":
        await this.#clients.settle();
        return true;
      case "release":
        return this.#release(this.#device(step.device));
      case "claim":
        return this.#claim(this.#device(step.device), step.organization);
      case "rotate":
        return this.#rotate(this.#device(step.device));
      case "revoke":
        return this.#revoke(this.#cast.players.get(step.person % 2 === 0 ? "alice" : "mallory") as Player);
    }
    const client = pick(
      [...this.#clients.live.keys()].filter((name) => name !== WITNESS),
      step.client,
    );
    if (client === undefined) return false;
    if (step.kind === "end") return this.#end(client, step.how);
    if (step.kind === "publish") return this.#publishStep(client, step);
    if (step.kind === "subscribe") return this.#subscribeStep(client, step.filters, step.id);
    if (step.kind === "unsubscribe") return this.#unsubscribe(client, step.filters);
    if (!this.#live(client).holds) return false;
    this.#note("acknowledge", client, step.isHalf ? "half" : "all");
    await this.#clients.acknowledge(client, step.isHalf);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clients[Symbol.dispose]();
    await this.#cast[Symbol.asyncDispose]();
  }

  #note(what: string, who: string, how?: unknown): void {
    this.#trace.push(`${what} ${who} ${JSON.stringify(how) ?? ""}`);
  }

  #live(client: string): Live {
    return this.#clients.live.get(client) as Live;
  }

  #device(at: number): Player {
    return pick(this.#cast.devices, at) as Player;
  }

  /** The witness sees whatever the hub says to people: when it has that, everybody can have it. */
  async #owe(debts: readonly Debt[], leaving?: string): Promise<void> {
    this.#clients.ledger.owe(debts, leaving);
    if (debts.length > 0) await this.#clients.settle([WITNESS]);
  }

  #connectStep(step: ConnectStep): Promise<boolean> {
    const names = [...SLOTS.map((_, at) => `client-${at}`), ...this.#cast.devices.map(({ account }) => account.name)];
    const players = [...this.#cast.players.values()];
    const slot = step.slot % names.length;
    const client = names[slot] as string;
    const own = SLOTS[slot] === undefined ? client : SLOTS[slot];
    const player = step.player === undefined ? (this.#cast.players.get(own) as Player) : (pick(players, step.player) as Player);
    return this.#connect(client, player, {
      ...step,
      ...(isSharer(client) ? { holds: false, window: undefined } : {}),
      will: step.will && this.#will(player, { ...step.will, isLate: step.will.isLate && step.version === 5 }),
    });
  }

  #will({ account }: Player, { topic, isForeign, qos, retain, isLate }: NonNullable<ConnectStep["will"]>): Will {
    const name =
      account.kind === "device"
        ? `hexa/${isForeign ? "nobody-knows-it" : account.name}/availability`
        : this.#bus(account.organization, topic, isForeign);
    const payload = account.kind === "device" ? "offline" : `will ${++this.#count}`;
    return { message: { topic: name, payload, qos, retain }, isLate };
  }

  #bus(organization: string, topic: number, isForeign: boolean): string {
    const other = this.#cast.organizations.find((one) => one !== organization) as string;
    return `hexa-app/${isForeign ? other : organization}/bus/${pick(NAMES, topic)}`;
  }

  async #connect(client: string, player: Player, how: ConnectOptions): Promise<boolean> {
    const { version, isClean, holds, will } = how;
    const lasts = version === 4 ? !isClean : how.lasts;
    const before = this.#clients.live.get(client);
    if (before) await this.#clients.settle([client]);
    const { account, passwords } = player;
    const isStale = how.isStale && passwords.length > 1;
    this.#note("connect", client, { as: account.name, ...how, lasts, isStale });
    const answer = isStale ? { refusal: 0x86 } : this.#model.connect(client, { account, isClean, lasts, will });
    const broker = this.#brokers[this.#count++ % this.#brokers.length] as URL;
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
    const refusal = "refusal" in answer ? answer.refusal : 0;
    assert.equal(codeOf(connack), version === 5 ? refusal : (RETURN_CODES[refusal] ?? 0), `CONNACK for ${client}`);
    if ("refusal" in answer) {
      await raw.ended();
      return true;
    }
    assert.equal(connack.sessionPresent, answer.isPresent, `session present of ${client}`);
    if (before) await this.#clients.supersede(client, 0x8e);
    const { ledger } = this.#clients;
    if (answer.isPresent) ledger.rewind(client);
    else ledger.forget(client);
    this.#clients.live.set(client, { raw, player, holds, window: window ?? HUB_WINDOW, released: new Set() });
    // Their PUBREL comes again and is answered by itself.
    if (!holds) for (const { packetId, isReceived } of ledger.unacknowledged(client)) if (isReceived) ledger.completed(client, packetId);
    await this.#owe(answer.debts, before ? client : undefined);
    if (account.kind === "device" && !before) await this.#announce(account.name, "online");
    await this.#clients.settle([client]);
    return true;
  }

  /** What the hub says of a device's connection. */
  async #announce(uid: string, status: "online" | "offline"): Promise<void> {
    const debts = this.#model.publish({ topic: `hexa/${uid}/availability`, payload: status, qos: 1, retain: true });
    await this.#owe([...debts, ...this.#event(uid, status, this.#model.owners.get(uid))]);
  }

  #event(uid: string, what: string, organization: string | undefined): Debt[] {
    if (organization === undefined) return [];
    return this.#model.publish({ topic: `hexa-app/${organization}/events/device.${what}`, payload: uid, qos: 1, retain: false });
  }

  async #end(client: string, wanted: Extract<Step, { kind: "end" }>["how"]): Promise<boolean> {
    const { raw } = this.#live(client);
    const lasts = this.#model.sessions.get(client)?.lasts === true;
    const how = (raw.version === 4 && wanted === "with will") || (wanted === "forever" && (!lasts || raw.version === 4)) ? "bye" : wanted;
    this.#note("end", client, how);
    await this.#clients.settle([client]);
    const debts = this.#model.end(client, {
      saysWill: how === "with will" || how === "drop" || how === "garbage",
      isOver: !lasts || how === "forever",
    });
    if (how === "bye") await raw.disconnect();
    else if (how === "with will") await raw.disconnect({ reasonCode: 4 });
    else if (how === "forever") await raw.disconnect({ properties: { sessionExpiryInterval: 0 } });
    else if (how === "drop" && !isSharer(client)) {
      await raw.drop();
      // The hub hears of the end before it hears of what comes afterwards, and takes it a turn later.
      for (let round = 0; round < 3; round++) await this.#live(WITNESS).raw.ping();
    } else {
      raw.write(Buffer.from([0xf0, 0]));
      await raw.ended();
    }
    await this.#gone(client, debts);
    return true;
  }

  /** After the end of a connection. */
  async #gone(client: string, debts: readonly Debt[]): Promise<void> {
    const { account } = this.#live(client).player;
    this.#clients.live.delete(client);
    if (this.#model.sessions.has(client)) this.#clients.ledger.rewind(client);
    else this.#clients.ledger.forget(client);
    await this.#owe(debts, client);
    if (account.kind === "device") await this.#announce(account.name, "offline");
  }

  async #subscribeStep(client: string, wanted: readonly FilterStep[], id: number): Promise<boolean> {
    const { raw, player, holds, window } = this.#live(client);
    const { kind } = player.account;
    // A member of two groups could not tell for which of them it got a message.
    let shared = [...(this.#model.sessions.get(client)?.filters.keys() ?? [])].find((filter) => filter.startsWith("$share"));
    const filters = wanted.map((one): Filter => {
      const isShared = isSharer(client) && one.isShared;
      const name = this.#filter(player, kind === "device" ? DEVICE_FILTERS : isShared ? SHARED : FILTERS, one.filter);
      if (isShared) shared ??= `$share/g/${name}`;
      const filter = isShared && shared === `$share/g/${name}` ? shared : name;
      const fifth =
        raw.version === 5
          ? { ...one, id: id === 0 ? undefined : id }
          : { noLocal: false, keepsRetain: false, retainHandling: 0 as const, id: undefined };
      return {
        filter,
        qos: one.qos,
        noLocal: fifth.noLocal && !filter.startsWith("$"),
        keepsRetain: fifth.keepsRetain,
        // What is retained is looked for while there is room: a client that takes nothing would get what is there later.
        retainHandling: holds && window < HUB_WINDOW ? 2 : fifth.retainHandling,
        id: fifth.id,
      };
    });
    // One filter twice in a packet may bring what is retained once or twice.
    await this.#subscribe(client, [...new Map(filters.map((one) => [one.filter, one])).values()]);
    return true;
  }

  async #subscribe(client: string, filters: readonly Filter[]): Promise<void> {
    const { raw } = this.#live(client);
    this.#note("subscribe", client, filters);
    await this.#clients.settle([client]);
    const { grants, debts } = this.#model.subscribe(client, filters);
    this.#clients.ledger.owe(debts);
    const id = filters[0]?.id;
    const suback = await raw.subscribe(
      filters.map(({ filter, qos, noLocal, keepsRetain, retainHandling }) =>
        raw.version === 5 ? { topic: filter, qos, nl: noLocal, rap: keepsRetain, rh: retainHandling } : { topic: filter, qos },
      ),
      id === undefined ? undefined : { subscriptionIdentifier: id },
    );
    const expected = grants.map((isGranted, at) => (isGranted ? filters[at]?.qos : raw.version === 5 ? 0x87 : 0x80));
    assert.deepEqual(suback.granted, expected, `SUBACK for ${client}: ${JSON.stringify(filters)}`);
    // What is retained is looked for in turns: of what changes meanwhile the client may get the old or the new.
    await this.#clients.settle([client]);
  }

  #filter({ account }: Player, from: readonly string[], at: number): string {
    const own = account.kind === "device" ? account.name : account.organization;
    const other = this.#cast.organizations.find((one) => one !== account.organization) as string;
    const device = this.#device(Math.floor(at / from.length)).account.name;
    // An administrator may read the statistics, whose times nobody can tell.
    const filter = account.isAdmin ? (pick(from, at) as string).replace("$SYS", "$hub") : (pick(from, at) as string);
    return filter.replace("{own}", own).replace("{other}", other).replace("{device}", device);
  }

  async #unsubscribe(client: string, which: readonly number[]): Promise<boolean> {
    const { raw } = this.#live(client);
    const filters = this.#model.sessions.get(client)?.filters as Map<string, Filter>;
    const names = which.map((at) => pick([...filters.keys(), "hexa-app/+/never"], at) as string);
    this.#note("unsubscribe", client, names);
    await this.#clients.settle([client]);
    const expected = names.map((name) => (filters.delete(name) ? 0 : 0x11));
    const { granted } = await raw.unsubscribe(names);
    if (raw.version === 5) assert.deepEqual(granted, expected, `UNSUBACK for ${client}`);
    return true;
  }

  async #publishStep(client: string, step: PublishStep): Promise<boolean> {
    const { account } = this.#live(client).player;
    const { qos, retain } = step;
    if (account.kind === "device") return this.#report(client, step);
    const topic = this.#bus(account.organization, step.topic, step.isForeign);
    await this.#send(client, { topic, payload: step.isEmpty ? "" : `message ${++this.#count}`, qos, retain, by: client }, step.twice);
    return true;
  }

  /** A device's message, and what the hub makes of it. */
  async #report(client: string, { topic: which, qos: asked, retain, isForeign, isEmpty }: PublishStep): Promise<boolean> {
    const report = pick(REPORTS, which) as (typeof REPORTS)[number];
    const uid = isForeign ? this.#device(which).account.name : client;
    const number = ++this.#count;
    const payloads = { telemetry: { values: { t: number } }, heartbeat: { uptime_s: number }, register: {} };
    const topic = report === "availability" ? `hexa/${uid}/availability` : `hexa/${uid}/up/${report}`;
    const payload = report === "availability" ? (isEmpty ? "online" : "offline") : JSON.stringify(payloads[report]);
    const qos = report === "register" && asked === 0 ? 1 : asked;
    await this.#send(client, { topic, payload, qos, retain: retain && isEmpty, by: client });
    if (uid !== client || (retain && isEmpty)) return true;
    if (report === "telemetry")
      await this.#owe(this.#model.publish({ topic: `hexa/${uid}/sensor/t/state`, payload: String(number), qos: 0, retain: true }));
    if (report === "register")
      await this.#owe(this.#model.publish({ topic: `hexa/${uid}/down/registered`, payload: "registered", qos: 1, retain: false }));
    return true;
  }

  async #send(client: string, message: Message, twice: PublishStep["twice"] = "no"): Promise<void> {
    const { raw, player } = this.#live(client);
    const { topic, payload, qos, retain } = message;
    const isUp = topic.includes("/up/");
    this.#note("publish", client, { ...message, twice });
    const refusal = !this.#model.mayPublish(player.account, topic) ? 0x87 : isUp && retain ? 0x83 : 0;
    if (refusal === 0 && !topic.endsWith("availability")) this.#clients.ledger.owe(this.#model.publish(message));
    if (refusal === 0 && qos === 2 && twice !== "no") return this.#sendTwice(client, message, twice);
    const answer = await raw.publish(topic, payload, { qos, retain });
    if (answer === undefined) await raw.ping();
    else assert.equal(codeOf(answer), raw.version === 5 ? refusal : 0, `${answer.cmd} for ${client} on ${topic}`);
  }

  /** Sent again before it is released, here or on the next connection of the session, it is one message. */
  async #sendTwice(client: string, { topic, payload, qos, retain }: Message, where: "here" | "there"): Promise<void> {
    const messageId = 60_000;
    const first = this.#live(client);
    const send = async ({ raw }: Live, dup: boolean): Promise<void> => {
      raw.send({ cmd: "publish", topic, payload, qos, retain, dup, messageId });
      assert.equal(codeOf(await raw.pick("pubrec", (packet) => packet.messageId === messageId)), 0);
    };
    await send(first, false);
    if (where === "there" && this.#model.sessions.get(client)?.lasts) {
      await this.#end(client, "drop");
      await this.#connect(client, first.player, { ...PLAIN, version: first.raw.version, isClean: false, lasts: true });
    }
    const { raw } = this.#live(client);
    await send(this.#live(client), true);
    raw.send({ cmd: "pubrel", messageId });
    assert.equal(codeOf(await raw.pick("pubcomp", (packet) => packet.messageId === messageId)), 0);
  }

  /** Gives a device up: its session ends without a word of its going, and what is retained of it is taken back. */
  async #release(device: Player): Promise<boolean> {
    const { name: uid } = device.account;
    const owner = this.#model.owners.get(uid);
    if (owner === undefined) return false;
    this.#note("release", uid);
    await this.#clients.settle();
    const { status, body } = await this.#cast.admin.api.call<{ claim_code: string }>("POST", `/api/v1/devices/${uid}/release`);
    assert.equal(status, 200, JSON.stringify(body));
    device.claimCode = body.claim_code;
    if (this.#clients.live.has(uid)) await this.#clients.supersede(uid, 0x87);
    this.#model.owners.set(uid, undefined);
    this.#model.sessions.delete(uid);
    this.#clients.ledger.forget(uid);
    this.#clients.ledger.blur();
    for (const topic of [...this.#model.retained.keys()])
      if (topic.startsWith(`hexa/${uid}/`)) this.#clients.ledger.owe(this.#model.publish({ topic, payload: "", qos: 1, retain: true }));
    this.#clients.ledger.owe(this.#event(uid, "released", owner));
    await this.#clients.settle();
    return true;
  }

  async #claim(device: Player, organization: 0 | 1): Promise<boolean> {
    const { name: uid } = device.account;
    if (this.#model.owners.get(uid) !== undefined) return false;
    this.#note("claim", uid, organization);
    await this.#clients.settle();
    const { api } = this.#cast.players.get(organization === 0 ? "alice" : "mallory") as Player;
    const { status, body } = await api.call("POST", "/api/v1/devices/claim", { claim_code: device.claimCode });
    assert.equal(status, 200, JSON.stringify(body));
    this.#model.owners.set(uid, this.#cast.organizations[organization]);
    this.#clients.ledger.blur();
    await this.#owe(this.#event(uid, "claimed", this.#cast.organizations[organization]));
    return true;
  }

  /** New credentials for a device: the old ones' connection ends, its session stays. */
  async #rotate(device: Player): Promise<boolean> {
    const { name: uid } = device.account;
    this.#note("rotate", uid);
    await this.#clients.settle();
    const { status, body } = await this.#cast.admin.api.call<{ device_token: string }>("POST", `/api/v1/devices/${uid}/rotate-token`);
    assert.equal(status, 201, JSON.stringify(body));
    device.passwords.push(body.device_token);
    this.#clients.ledger.owe(this.#event(uid, "credential_rotated", this.#model.owners.get(uid)));
    await this.#endRevoked([uid]);
    return true;
  }

  /** Another token for a person, and the end of the one before. */
  async #revoke(person: Player): Promise<boolean> {
    const { api, passwords, tokenId } = person;
    const live = [...this.#clients.live].filter(([, { player }]) => player === person).map(([client]) => client);
    // Of several wills nobody can say who hears which.
    if (live.length > 1 && live.some((client) => this.#model.sessions.get(client)?.will)) return false;
    this.#note("revoke", person.account.name);
    await this.#clients.settle();
    const made = await api.call<{ id: string; token: string }>("POST", "/api/v1/access-tokens", {
      kind: "personal",
      name: `t${++this.#count}`,
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { status } = await api.call("DELETE", `/api/v1/access-tokens/${tokenId}`);
    assert.equal(status, 204);
    passwords.push(made.body.token);
    person.tokenId = made.body.id;
    await this.#endRevoked(live);
    return true;
  }

  async #endRevoked(clients: readonly string[]): Promise<void> {
    for (const client of clients) {
      const live = this.#clients.live.get(client);
      if (!live) continue;
      await this.#clients.supersede(client, 0x87);
      this.#clients.live.set(client, live);
      const lasts = this.#model.sessions.get(client)?.lasts === true;
      await this.#gone(client, this.#model.end(client, { saysWill: true, isOver: !lasts }));
    }
  }
}

interface ConnectOptions extends Omit<ConnectStep, "kind" | "slot" | "player" | "will"> {
  readonly will: Will | undefined;
}

const PLAIN: ConnectOptions = { isStale: false, version: 4, isClean: true, lasts: false, will: undefined, window: undefined, holds: false };

function willPacket({ message: { topic, payload, qos, retain }, isLate }: Will, version: 4 | 5) {
  const properties = version === 5 && isLate ? { properties: { willDelayInterval: EXPIRY_S } } : {};
  return { topic, payload: Buffer.from(payload), qos, retain, ...properties };
}

const isSharer = (client: string): boolean => client.startsWith("client-") && Number(client.slice(7)) >= FIRST_SHARER;

/** One of several by any number; undefined of none. */
function pick<T>(from: readonly T[], at: number): T | undefined {
  return from[at % from.length];
}

export async function startWorld(): Promise<World> {
  const cast = await startCast();
  return new World(cast, [cast.hub.mqtt]);
}
