import type { Account } from "./connection.ts";
import type { LatencySpec } from "./latency.ts";
import type { Framing } from "./packets.ts";
import type { Group, StreamSpec } from "./stream.ts";
import type { Target } from "./wire.ts";

export interface Span {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Where the messages go: the log-in that every connection uses, none where the broker asks for nobody. */
export interface Place {
  readonly target: Target;
  readonly login: Omit<Account, "clientId">;
}

export interface Shape extends Framing, Span {
  /** What the topics begin with, without a slash at the end; the same for all brokers, so that the frames have one size. */
  readonly prefix: string;
}

const PAYLOAD = "x".repeat(100);
/** Below the 256 KiB that the hub buffers for one client, and the 1,000 messages of QoS 1 on their way to it. */
const WINDOW_BYTES = 200 * 1024;
const WINDOW_MESSAGES = { 0: Number.POSITIVE_INFINITY, 1: 1_000 } as const;
/** Deliveries under way of all subscribers together: a slow broker shall be through with them before its turn ends. */
const UNDER_WAY = 20_000;
const FRAME_OVERHEAD_BYTES = 16;
/** The hub's receive maximum; mosquitto has none at QoS 1. */
const UNACKED_MESSAGES = 100;

/** 50 clients publish, one reads them all. */
export function fanIn(place: Place, shape: Shape): StreamSpec {
  const publishers = numbered(50).map((name) => publisher(place, shape, name));
  return stream(place, shape, [{ publishers, subscribers: [{ ...place.login, clientId: "bench-sub-000", filter: `${shape.prefix}/#` }] }]);
}

/** One client publishes, 200 read it. */
export function fanOut(place: Place, shape: Shape): StreamSpec {
  const source = publisher(place, shape, "000");
  const subscribers = numbered(200).map((name) => ({ ...place.login, clientId: `bench-sub-${name}`, filter: source.topic }));
  return stream(place, shape, [{ publishers: [source], subscribers }]);
}

/** 50 clients publish, each to one reader of its own. */
export function pairs(place: Place, shape: Shape): StreamSpec {
  return stream(
    place,
    shape,
    numbered(50).map((name) => pair(place, shape, name)),
  );
}

/** The pairs at a steady rate, all together. */
export function steadyPairs(place: Place, shape: Shape, ratePerS: number): LatencySpec {
  return { ...pairs(place, shape), kind: "latency", ratePerS };
}

function stream(place: Place, shape: Shape, groups: readonly Group[]): StreamSpec {
  const { qos, version, warmUpMs, measureMs } = shape;
  const frameBytes = PAYLOAD.length + (groups[0]?.publishers[0]?.topic.length ?? 0) + FRAME_OVERHEAD_BYTES;
  const subscribers = groups.reduce((sum, group) => sum + group.subscribers.length, 0);
  return {
    kind: "stream",
    ...place.target,
    groups,
    qos,
    version,
    warmUpMs,
    measureMs,
    payload: PAYLOAD,
    windowMessages: Math.min(WINDOW_MESSAGES[qos], Math.floor(WINDOW_BYTES / frameBytes), Math.floor(UNDER_WAY / subscribers)),
    unackedMessages: UNACKED_MESSAGES,
  };
}

function pair(place: Place, shape: Shape, name: string): Group {
  const source = publisher(place, shape, name);
  return { publishers: [source], subscribers: [{ ...place.login, clientId: `bench-sub-${name}`, filter: source.topic }] };
}

function publisher(place: Place, { prefix }: Shape, name: string): Account & { readonly topic: string } {
  return { ...place.login, clientId: `bench-pub-${name}`, topic: `${prefix}/${name}` };
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index).padStart(3, "0"));
}
