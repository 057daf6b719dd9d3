import assert from "node:assert/strict";
import type { MqttClient } from "mqtt";
import type { Log } from "../../core/bus.ts";
import { type Account, addAccount, connectTo, LASTING } from "../broker/nodes.ts";
import { type HubOptions, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { emptyDatabase, type Hubs, startHubs } from "./cluster-hubs.ts";

/** One stream of numbered messages: what was sent, acknowledged and received, and how long it took. */
export interface Stream {
  readonly name: string;
  readonly sent: number;
  /** Numbers of the messages that the publisher was acknowledged. */
  readonly acknowledged: readonly number[];
  /** Numbers in the order in which the subscriber got them. */
  readonly received: readonly number[];
  /** From the publish to the subscriber, and to the acknowledgement. */
  readonly deliveryMs: readonly number[];
  readonly acknowledgementMs: readonly number[];
}

/** Two hubs under a test, and one that is alone, on the same PostgreSQL: what the machine itself makes slow is slow there too. */
export interface Stage extends Hubs {
  /** A service account at the two, and at the one. */
  readonly account: Account;
  readonly alone: { readonly hub: TestHub; readonly account: Account };
  /** What the log said about nodes that were taken for dead. */
  readonly left: readonly string[];
}

export async function startStage(redisUrls: readonly [string, string]): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const databaseUrl = await emptyDatabase();
  const { log, left } = deathWatch();
  const options = (redisUrl: string): HubOptions => ({ databaseUrl, redisUrl, log });
  const { a, b } = stack.use(await startHubs(options(redisUrls[0]), options(redisUrls[1])));
  const hub = stack.use(await startHub({ databaseUrl: await emptyDatabase() }));
  const alone = { hub, account: await addAccount(hub) };
  const account = await addAccount(a);
  const running = stack.move();
  return { a, b, account, alone, left, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Clients that send without a pause: at each of two nodes to itself, and from each to the other. */
export interface Traffic extends AsyncDisposable {
  readonly local: readonly Stream[];
  /** The same at the hub that is alone. */
  readonly control: Stream;
  readonly crossing: readonly Stream[];
  /** How long each answer of /health took; infinite for one that was not 200. */
  readonly healthMs: readonly number[];
  /** Sends no more, and waits until everything that was sent is acknowledged. */
  stop(): Promise<void>;
  /** Waits until everything that was sent has arrived. */
  arrived(): Promise<void>;
}

const LOCAL_EVERY_MS = 10;
const CROSSING_EVERY_MS = 50;
/** Below the hub's receive maximum of 100, which ends the connection of a client that does not keep to it. */
const MAX_UNANSWERED = 80;
const HEALTH_EVERY_MS = 100;

/** `name` tells the clients and topics of one run from those of the others. */
export async function startTraffic({ a, b, account, alone }: Stage, name: string): Promise<Traffic> {
  await using stack = new AsyncDisposableStack();
  const open = async (from: TestHub, to: TestHub, label: string, qos: 1 | 2, by = account) =>
    stack.use(await openStream({ from, to, account: by, name: `${name}-${label}`, qos }));
  const control = await open(alone.hub, alone.hub, "alone", 1, alone.account);
  const local = [await open(a, a, "a-a", 1), await open(b, b, "b-b", 1)];
  const crossing = [await open(a, b, "a-b-1", 1), await open(b, a, "b-a-1", 1), await open(a, b, "a-b-2", 2), await open(b, a, "b-a-2", 2)];
  const streams = [control, ...local, ...crossing];
  const healthMs: number[] = [];
  const timers = [
    setInterval(() => [control, ...local].forEach((stream) => stream.send()), LOCAL_EVERY_MS),
    setInterval(() => crossing.forEach((stream) => stream.send()), CROSSING_EVERY_MS),
    setInterval(() => [a, b].forEach((hub) => void askHealth(hub, healthMs)), HEALTH_EVERY_MS),
  ];
  const quiet = (): void => timers.forEach((timer) => clearInterval(timer));
  stack.defer(quiet);
  const running = stack.move();
  return {
    local,
    control,
    crossing,
    healthMs,
    async stop() {
      quiet();
      await until(() => streams.every(({ sent, acknowledged }) => acknowledged.length === sent), { what: "every acknowledgement" });
    },
    async arrived() {
      await until(() => streams.every(({ sent, received }) => new Set(received).size === sent), { what: "every message" });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface Line {
  readonly from: TestHub;
  readonly to: TestHub;
  readonly account: Account;
  readonly name: string;
  readonly qos: 1 | 2;
}

interface OpenStream extends Stream, AsyncDisposable {
  send(): void;
}

/** The subscriber's session is one that stays, so that what it is sent is committed before it is acknowledged. */
async function openStream({ from, to, account, name, qos }: Line): Promise<OpenStream> {
  const topic = `${account.prefix}/${name}`;
  const [publisher, subscriber] = await Promise.all([
    connectTo(from, account, { clientId: `${name}-out` }),
    connectTo(to, account, { clientId: `${name}-in`, ...LASTING }),
  ]);
  const sentAt: number[] = [];
  const acknowledged: number[] = [];
  const received: number[] = [];
  const deliveryMs: number[] = [];
  const acknowledgementMs: number[] = [];
  const sinceMs = (number: number): number => performance.now() - (sentAt[number] ?? 0);
  subscriber.client.on("message", (_topic, payload) => {
    const number = Number(payload.toString());
    received.push(number);
    deliveryMs.push(sinceMs(number));
  });
  await subscriber.client.subscribeAsync(topic, { qos });
  return {
    name,
    get sent() {
      return sentAt.length;
    },
    acknowledged,
    received,
    deliveryMs,
    acknowledgementMs,
    send() {
      if (sentAt.length - acknowledged.length >= MAX_UNANSWERED) return;
      const number = sentAt.push(performance.now()) - 1;
      publish(publisher.client, topic, String(number), qos).then(
        () => {
          acknowledged.push(number);
          acknowledgementMs.push(sinceMs(number));
        },
        () => undefined,
      );
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([publisher.client.endAsync(true), subscriber.client.endAsync(true)]);
    },
  };
}

async function publish(client: MqttClient, topic: string, text: string, qos: 1 | 2): Promise<void> {
  await client.publishAsync(topic, text, { qos });
}

async function askHealth({ http }: TestHub, healthMs: number[]): Promise<void> {
  const askedAt = performance.now();
  const isOk = await fetch(new URL("/health", http)).then(
    ({ status }) => status === 200,
    () => false,
  );
  healthMs.push(isOk ? performance.now() - askedAt : Number.POSITIVE_INFINITY);
}

/** The value below which that share of the others lies. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((x, y) => x - y)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

/** Less than any answer of a bad Redis takes, and far more than a local message needs on a busy machine. */
const LOCAL_P99_MS = 200;
const HEALTH_MS = 1_000;

/** Nothing was lost, doubled or overtaken, and nobody waited for Redis who need not. To be called when all has arrived. */
export function assertIntact({ local, control, crossing, healthMs }: Traffic): void {
  for (const { name, sent, received } of [...local, ...crossing])
    assert.deepEqual(received, [...Array(sent).keys()], `${name}: each once, in order`);
  for (const stream of local)
    for (const times of ["deliveryMs", "acknowledgementMs"] as const) {
      const [p99, controlP99] = [usualP99(stream[times]), usualP99(control[times])];
      assert.ok(p99 < Math.max(LOCAL_P99_MS, 3 * controlP99), `p99 of ${stream.name}, ${times}: ${p99} ms; alone ${controlP99} ms`);
    }
  assert.ok(Math.max(...healthMs) < HEALTH_MS, `/health took ${Math.max(...healthMs)} ms`);
}

/**
 * The p99 of each hundred in turn, and of those the median: a machine that is busy with other things makes some of them
 * longer, a hub that keeps its clients waiting makes all.
 */
function usualP99(times: readonly number[]): number {
  const hundreds = Array.from({ length: Math.ceil(times.length / 100) }, (_, index) => times.slice(index * 100, (index + 1) * 100));
  return quantile(
    hundreds.map((some) => quantile(some, 0.99)),
    0.5,
  );
}

/** The figures of a run, for a diagnostic. */
export function summary({ local, control, crossing, healthMs }: Traffic): string {
  const ms = (values: readonly number[], share: number): string => `${quantile(values, share).toFixed(0)} ms`;
  const usual = (streams: readonly Stream[], of: "deliveryMs" | "acknowledgementMs"): string =>
    `${Math.max(...streams.map((stream) => usualP99(stream[of]))).toFixed(0)} ms`;
  const deliveries = (streams: readonly Stream[]) => streams.flatMap(({ deliveryMs }) => deliveryMs);
  const acknowledgements = (streams: readonly Stream[]) => streams.flatMap(({ acknowledgementMs }) => acknowledgementMs);
  return (
    `local p99 ${usual(local, "deliveryMs")} (at most ${ms(deliveries(local), 1)}), acknowledged ${usual(local, "acknowledgementMs")}; ` +
    `alone ${usual([control], "deliveryMs")} and ${usual([control], "acknowledgementMs")}; ` +
    `crossing median ${ms(deliveries(crossing), 0.5)}, acknowledged ${ms(acknowledgements(crossing), 0.5)}, ` +
    `at most ${ms(acknowledgements(crossing), 1)}; /health at most ${ms(healthMs, 1)}`
  );
}

/** Resolves when a message from each to the other is delivered and acknowledged as fast as ever. */
export async function isNormal({ a, b, account }: Stage): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const topic = `${account.prefix}/normal`;
    const [sender, reader] = await Promise.all([connectTo(from, account), connectTo(to, account)]);
    await reader.client.subscribeAsync(topic, { qos: 1 });
    const isFast = async (): Promise<boolean> => {
      const startedAt = performance.now();
      const before = reader.seen.length;
      await sender.client.publishAsync(topic, "x", { qos: 1 });
      await until(() => reader.seen.length > before, { what: "the message" });
      return performance.now() - startedAt < LOCAL_P99_MS;
    };
    await until(isFast, { what: "messages as fast as ever" });
    await Promise.all([sender.client.endAsync(), reader.client.endAsync()]);
  }
}

/** Time passes while a fault lasts. */
export function passed(ms: number): Promise<unknown> {
  const end = performance.now() + ms;
  return until(() => performance.now() >= end, { what: "time to pass", timeoutMs: ms + 5_000 });
}

/** A log that keeps what is said about nodes that are taken for dead. */
function deathWatch(): { readonly log: Log; readonly left: readonly string[] } {
  const left: string[] = [];
  const quiet = (): void => {};
  const log: Log = {
    debug: quiet,
    info: quiet,
    warn: (_data, message) => void (/a node left|declared this one dead/.test(message) && left.push(message)),
    error: (data, message) => void process.stderr.write(`hub error: ${message} ${JSON.stringify(data)}\n`),
  };
  return { log, left };
}
