import { acknowledging } from "./acknowledge.ts";
import { openAll, openConnection } from "./connection.ts";
import { createFrameCounter, createFrameReader, unexpected } from "./frames.ts";
import { createHistogram, type Latency } from "./histogram.ts";
import { passed, startPace } from "./pace.ts";
import { idOffset, PUBACK, PUBACK_BYTES, publishByte, publishFrame } from "./packets.ts";
import type { Group, StreamSpec } from "./stream.ts";
import type { Target, Wire } from "./wire.ts";

/** The groups are pairs: one publisher and one subscriber each. */
export interface LatencySpec extends Omit<StreamSpec, "kind"> {
  readonly kind: "latency";
  /** Of all pairs together, in turn. */
  readonly ratePerS: number;
}

export interface LatencyResult {
  readonly deliveredPerS: number;
  /** From the write of the PUBLISH to the read of it at the subscriber. */
  readonly latency: Latency;
  readonly cpuShare: number;
}

/** Messages at a steady rate, each with the time at which it was sent in its payload. */
export async function runLatency(spec: LatencySpec): Promise<LatencyResult> {
  const histogram = createHistogram();
  const state: State = { isMeasuring: false, isOver: false, failure: undefined };
  const pairs = await openPairs(spec, (sentAt) => {
    if (state.isMeasuring) histogram.add(performance.now() - sentAt);
  });
  for (const { sockets } of pairs)
    for (const socket of sockets)
      socket.on("close", () => {
        if (!state.isOver) state.failure ??= new Error("the broker closed a connection");
      });
  let next = 0;
  const send = (stampMs: number): boolean => {
    for (let tried = 0; tried < pairs.length; tried++) if (pairs[next++ % pairs.length]?.send(stampMs)) return true;
    return false;
  };
  const pace = startPace({ ratePerS: spec.ratePerS, send });
  await passed(spec.warmUpMs);
  state.isMeasuring = true;
  const from = { at: performance.now(), cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = process.cpuUsage(from.cpu);
  const latency = histogram.summary();
  pace[Symbol.dispose]();
  state.isOver = true;
  for (const { sockets } of pairs) for (const socket of sockets) socket.destroy();
  if (state.failure) throw state.failure;
  return { deliveredPerS: latency.count / seconds, latency, cpuShare: (cpu.user + cpu.system) / 1e6 / seconds };
}

interface State {
  isMeasuring: boolean;
  isOver: boolean;
  failure: Error | undefined;
}

interface Pair {
  readonly sockets: readonly Wire["socket"][];
  /** false: as much as may be is under way already. */
  send(stampMs: number): boolean;
}

async function openPairs(spec: LatencySpec, arrived: (sentAt: number) => void): Promise<Pair[]> {
  const { qos, version } = spec;
  const target: Target = spec;
  const subscribers = await openAll(
    spec.groups.flatMap((group) => group.subscribers),
    (subscriber) => openConnection(target, subscriber, { filter: subscriber.filter, qos, version }),
  );
  const publishers = await openAll(
    spec.groups.flatMap((group) => group.publishers),
    (publisher) => openConnection(target, publisher, { version }),
  );
  return spec.groups.map((group, index) => {
    const [publisher, subscriber] = [publishers[index], subscribers[index]];
    if (!publisher || !subscriber) throw new Error("a pair has one publisher and one subscriber");
    return connectPair(spec, group, { publisher, subscriber, arrived });
  });
}

function connectPair(
  spec: LatencySpec,
  group: Group,
  { publisher, subscriber, arrived }: { publisher: Wire; subscriber: Wire; arrived: (sentAt: number) => void },
): Pair {
  const packet = publishFrame(group.publishers[0]?.topic ?? "", spec.payload, spec);
  const frame = publisher.wrap(packet);
  const stampAt = packet.length - Buffer.byteLength(spec.payload);
  const idAt = idOffset(packet);
  const header = frame.length - packet.length;
  let underWay = 0;
  let unacked = 0;
  let id = 0;
  const onFrame = (buffer: Buffer, at: number): void => {
    underWay--;
    arrived(buffer.readDoubleLE(at + stampAt));
  };
  if (spec.qos === 1) {
    subscriber.receive = acknowledging(subscriber, { size: packet.length, idAt }, { onFrame });
    publisher.receive = createFrameCounter(PUBACK_BYTES, PUBACK, (acks) => void (unacked -= acks));
  } else
    subscriber.receive = createFrameReader(packet.length, (buffer, at) => {
      if (buffer[at] !== publishByte(0)) throw unexpected(buffer[at]);
      onFrame(buffer, at);
    });
  return {
    sockets: [publisher.socket, subscriber.socket],
    send(stampMs) {
      if (underWay >= spec.windowMessages || unacked >= spec.unackedMessages) return false;
      const copy = Buffer.from(frame);
      copy.writeDoubleLE(stampMs, header + stampAt);
      if (spec.qos === 1) {
        id = (id % 65_535) + 1;
        copy.writeUInt16BE(id, header + idAt);
        unacked++;
      }
      underWay++;
      publisher.socket.write(copy);
      return true;
    },
  };
}
