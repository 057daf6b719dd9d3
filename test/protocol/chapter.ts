import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { IConnectPacket, Packet } from "mqtt-packet";
import mqttPacket from "mqtt-packet";
import {
  codeOf,
  describePacket,
  hex,
  openRawClient,
  type RawClient,
  type RawOptions,
  type ReceivedOf,
  type Version,
} from "../support/raw-client.ts";
import { BROKER_NAMES, type Broker, type BrokerName, brokerMissing, startBroker } from "./brokers.ts";
import { findDifference } from "./differences.ts";

/** Where the claim stands in each version's specification; a version that is not named is not tested. */
export interface Statements {
  readonly v3?: readonly string[];
  readonly v5?: readonly string[];
}

export type Statement = (where: Statements, claim: string, run: (at: Scene) => Promise<void>) => void;

export type ConnectOptions = Partial<Omit<IConnectPacket, "cmd" | "protocolVersion">> & Pick<RawOptions, "acknowledges" | "transport">;

export interface HandmadeConnect {
  readonly protocol?: string;
  readonly level?: number;
  /** Without those of user name and password, which follow from the account. */
  readonly flags?: number;
  /** Properties of MQTT 5, without their length. */
  readonly properties?: Buffer;
  readonly clientId?: string | Buffer;
  /** What stands between the client id and the user name. */
  readonly will?: readonly Buffer[];
}

/** Bits of CONNECT's flags. */
export const CONNECT_FLAGS = { clean: 0x02, will: 0x04, willQos1: 0x08, willQos3: 0x18, willRetain: 0x20, password: 0x40, username: 0x80 };

/** What one test may use: a broker, a version of MQTT, and topics of its own. Its connections end with it. */
export interface Scene {
  readonly broker: Broker;
  readonly version: Version;
  /** A topic that no other test uses, and below which there is nothing else. */
  readonly topic: string;
  /** A client id that is in no other use. */
  newClientId(): string;
  /** A connection on which nothing was said yet. */
  open(options?: Partial<RawOptions>): Promise<RawClient>;
  /** CONNECT with the broker's account and a fresh client id. */
  connectPacket(options?: ConnectOptions): IConnectPacket;
  connectBytes(options?: ConnectOptions): Buffer;
  /** CONNECT byte by byte, with the broker's account and a fresh client id; for what no generator would make. */
  handmadeConnect(parts?: HandmadeConnect): Buffer;
  /** A client that was let in. */
  connect(options?: ConnectOptions & { readonly version?: Version }): Promise<RawClient & { readonly connack: ReceivedOf<"connack"> }>;
  /** Options of CONNECT for a session that outlives its connection. */
  lasting(options?: ConnectOptions & { readonly expiryS?: number }): ConnectOptions;
  /** All messages that the subscriber got before one that was published now; what was published earlier by this publisher came or does not come. */
  settled(subscriber: RawClient, publisher: RawClient): Promise<ReceivedOf<"publish">[]>;
}

/** How many tests of a file run at a time with each broker. */
const CONCURRENCY = 12;

/** How long the end of a connection is waited for, in milliseconds. */
const PATIENCE_MS = 5_000;

/** A chapter's claims, for the page that lists them. */
export interface Chapter {
  readonly name: string;
  readonly claims: readonly { readonly where: Statements; readonly claim: string }[];
}

/**
 * The tests of one chapter: each claim against each broker, in each version of MQTT that makes it. They are only registered in
 * the file that is run: who imports it gets the list.
 */
export function chapter(file: { readonly main: boolean }, name: string, define: (statement: Statement) => void): Chapter {
  const claims: { where: Statements; claim: string }[] = [];
  define((where, claim) => claims.push({ where, claim }));
  if (file.main) registerTests(name, define);
  return { name, claims };
}

function registerTests(name: string, define: (statement: Statement) => void): void {
  // Both brokers at the same time: what takes long is waiting.
  describe(name, { concurrency: BROKER_NAMES.length }, () => {
    for (const broker of BROKER_NAMES) registerTestsOf(broker, define);
  });
}

function registerTestsOf(broker: BrokerName, define: (statement: Statement) => void): void {
  const missing = brokerMissing(broker);
  describe(broker, { concurrency: CONCURRENCY, ...(missing === undefined ? {} : { skip: missing }) }, () => {
    let running: Broker;
    before(async () => {
      running = await startBroker(broker);
    });
    after(() => running[Symbol.asyncDispose]());
    define((where, claim, run) => {
      for (const version of versionsOf(where)) {
        const ids = (version === 4 ? where.v3 : where.v5) ?? [];
        test(`${ids.map((id) => `[${id}]`).join(" ")} ${claim} (MQTT ${version === 4 ? "3.1.1" : "5"}, ${broker})`, () =>
          runDeclared({ broker, version, claim }, () => runScene(running, version, run)));
      }
    });
  });
}

const versionsOf = ({ v3, v5 }: Statements): Version[] => [...(v3 ? [4 as const] : []), ...(v5 ? [5 as const] : [])];

/** A declared difference is a test as well: the standard's check has to fail, and in the declared way. */
async function runDeclared(of: { broker: BrokerName; version: Version; claim: string }, run: () => Promise<void>): Promise<void> {
  const difference = findDifference(of);
  if (difference === undefined) return run();
  const failure: unknown = await run().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure === undefined) assert.fail(`keeps to the standard by now, but differences.ts says: ${difference.instead}`);
  if (failure instanceof Error && difference.seen.test(failure.message)) return;
  throw new Error(`differs in another way than differences.ts says: ${difference.instead}`, { cause: failure });
}

async function runScene(broker: Broker, version: Version, run: (at: Scene) => Promise<void>): Promise<void> {
  await using clients = new AsyncDisposableStack();
  const name = randomBytes(6).toString("hex");
  let count = 0;
  const newClientId = (): string => `t${name}n${++count}`;
  const connectPacket = ({ acknowledges: _acknowledges, transport: _transport, ...options }: ConnectOptions = {}): IConnectPacket => ({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: version,
    clientId: newClientId(),
    clean: true,
    keepalive: 60,
    ...broker.account,
    ...options,
  });
  const open: Scene["open"] = async (options) => clients.use(await openRawClient(broker, { version, ...options }));
  await run({
    broker,
    version,
    topic: `${broker.prefix}${name}`,
    newClientId,
    open,
    connectPacket,
    connectBytes: (options) => mqttPacket.generate(connectPacket(options), { protocolVersion: version }),
    handmadeConnect({
      protocol = "MQTT",
      level = version,
      flags = CONNECT_FLAGS.clean,
      clientId = newClientId(),
      will = [],
      ...rest
    } = {}) {
      const { account } = broker;
      const login = account ? [field(account.username), field(account.password)] : [];
      const allFlags = flags | (account ? CONNECT_FLAGS.username | CONNECT_FLAGS.password : 0);
      const head = [field(protocol), level, allFlags, 0, 60, propertyField(version, rest.properties ?? Buffer.alloc(0))];
      return frame(0x10, ...head, field(clientId), ...will, ...login);
    },
    async connect({ version: own = version, ...options } = {}) {
      const { acknowledges = true, transport = "tcp" } = options;
      const client = await open({ version: own, acknowledges, transport });
      const connack = await client.connect({ ...connectPacket(options), protocolVersion: own });
      if (codeOf(connack) !== 0) throw new assert.AssertionError({ message: `not let in: connack ${hex(codeOf(connack))}` });
      return Object.assign(client, { connack });
    },
    lasting: ({ expiryS = 300, properties, ...options } = {}) => ({
      ...options,
      clean: options.clean ?? false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: expiryS, ...properties } } : {}),
    }),
    async settled(subscriber, publisher) {
      const end = `${broker.prefix}${name}-end-${++count}`;
      await subscriber.subscribe(end);
      await publisher.publish(end, "end");
      await subscriber.pick("publish", (packet) => packet.topic === end);
      await subscriber.unsubscribe([end]);
      return subscriber.takeAll().filter((packet): packet is ReceivedOf<"publish"> => packet.cmd === "publish");
    },
  });
}

/**
 * The connection ends for what was sent last; a client of MQTT 5 is told one of these reasons before, if the broker is one that tells.
 * A ping shows at once when the broker goes on.
 */
export async function endsWith(at: Scene, client: RawClient, reasonCodes: readonly number[]): Promise<void> {
  client.send({ cmd: "pingreq" });
  const answered = client.pick("pingresp").then(() => "pingresp");
  const ended = client.ended(PATIENCE_MS);
  answered.catch(() => undefined);
  ended.catch(() => undefined);
  const first = await Promise.race([ended, answered.catch(() => ended)]);
  if (first === "pingresp") assert.fail("expected the end of the connection, but the next ping was answered");
  const reasons = client.version === 5 ? reasonCodes.map((code) => `disconnect ${hex(code)}`) : [];
  assertRefusal(first as Packet[], client.version === 5 && at.broker.tellsWhy ? reasons : [...reasons, "nothing"]);
}

/** The connection ends before anybody was let in, with a CONNACK of one of these codes, or with no word where `mayBeSilent`. */
export async function isTurnedAway(client: RawClient, codes: readonly number[], mayBeSilent = true): Promise<void> {
  const isIn = client.pick("connack", (packet) => codeOf(packet) === 0).then(() => "connack");
  const ended = client.ended(PATIENCE_MS);
  isIn.catch(() => undefined);
  const first = await Promise.race([ended, isIn.catch(() => ended)]);
  if (first === "connack") assert.fail("expected a refusal, but the client was let in");
  assertRefusal(first as Packet[], [...codes.map((code) => `connack ${hex(code)}`), ...(mayBeSilent ? ["nothing"] : [])]);
}

function assertRefusal(packets: readonly Packet[], allowed: readonly string[]): void {
  const came = packets.length === 0 ? "nothing" : packets.map(describePacket).join(", ");
  assert.ok(
    allowed.includes(came),
    `expected ${allowed.join(" or ")} and the end of the connection, got ${came} and the end of the connection`,
  );
}

/** The payloads as text, long ones as their length. */
export const payloadsOf = (packets: readonly ReceivedOf<"publish">[]): string[] =>
  packets.map(({ payload }) => (payload.length > 100 ? `${payload.length} bytes` : payload.toString()));

/** Packets as short texts, so that an assertion's message says what came. */
export const shown = (packets: readonly Packet[]): string[] => packets.map(describePacket);

/** A packet of bytes that no generator would make: its first byte, and a body whose length is filled in. */
export function frame(firstByte: number, ...body: readonly (Buffer | number)[]): Buffer {
  const bytes = Buffer.concat(body.map((part) => (typeof part === "number" ? Buffer.from([part]) : part)));
  return Buffer.concat([Buffer.from([firstByte]), variableByteInteger(bytes.length), bytes]);
}

/** A string or binary field with its two bytes of length. */
export function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

export function variableByteInteger(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) | (rest >= 128 ? 0x80 : 0));
    if (rest < 128) return Buffer.from(bytes);
  }
}

/** A property field of a packet: its length and the properties, in MQTT 5 only. */
export function propertyField(version: Version, ...parts: readonly (Buffer | number)[]): Buffer {
  if (version !== 5) return Buffer.alloc(0);
  const bytes = Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : part)));
  return Buffer.concat([variableByteInteger(bytes.length), bytes]);
}
