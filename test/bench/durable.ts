import { type Account, openAll, openConnection } from "./connection.ts";
import { createFrameReader, unexpected } from "./frames.ts";
import { createHistogram, type Histogram, type Latency } from "./histogram.ts";
import { passed, startPace } from "./pace.ts";
import { idOffset, PUBACK, PUBACK_BYTES, publishFrame } from "./packets.ts";
import type { Target, Wire } from "./wire.ts";

export interface DurableSpec extends Target {
  readonly kind: "durable";
  readonly publishers: readonly (Account & { readonly topic: string })[];
  /** Unacknowledged messages of each publisher. */
  readonly inFlight: number;
  /** Of all publishers together; as fast as PUBACKs come when absent. */
  readonly ratePerS?: number | undefined;
  /** The first reading's time, ms since 1970; the next are 1 ms later each. */
  readonly firstTs: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface DurableResult {
  readonly ackedPerS: number;
  /** Of each publisher, with the warm-up: its first so many readings, since PUBACKs keep the order. */
  readonly acked: readonly number[];
  readonly latency: Latency;
  readonly cpuShare: number;
}

const TIME_DIGITS = 13;
const PAYLOAD = `{"ts":${"0".repeat(TIME_DIGITS)},"values":{"temperature":21.5}}`;

/** Readings at QoS 1, each with a time of its own so that none is a duplicate to the store; time from write to PUBACK. */
export async function runDurable(spec: DurableSpec): Promise<DurableResult> {
  const flow: Flow = { acked: 0, histogram: createHistogram(), isMeasuring: false, isOver: false };
  const wires = await openAll(spec.publishers, (publisher) => openConnection(spec, publisher));
  let failure: Error | undefined;
  const publishers = wires.map((wire, index) => {
    wire.socket.on("close", () => {
      if (!flow.isOver) failure ??= new Error("the broker closed a connection");
    });
    return connectPublisher(wire, spec.publishers[index]?.topic ?? "", { spec, flow });
  });
  let next = 0;
  const send = (stampMs: number): boolean => {
    for (let tried = 0; tried < publishers.length; tried++) {
      const publisher = publishers[next++ % publishers.length];
      if (publisher === undefined || publisher.unacked() >= spec.inFlight) continue;
      publisher.send(1, stampMs);
      return true;
    }
    return false;
  };
  const pace = spec.ratePerS === undefined ? undefined : startPace({ ratePerS: spec.ratePerS, send });
  if (!pace) for (const publisher of publishers) publisher.send(spec.inFlight, performance.now());
  await passed(spec.warmUpMs);
  flow.isMeasuring = true;
  const from = { at: performance.now(), acked: flow.acked, cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = process.cpuUsage(from.cpu);
  const ackedPerS = (flow.acked - from.acked) / seconds;
  flow.isOver = true;
  pace?.[Symbol.dispose]();
  for (const { socket } of wires) socket.destroy();
  if (failure) throw failure;
  return {
    ackedPerS,
    acked: publishers.map((publisher) => publisher.acked()),
    latency: flow.histogram.summary(),
    cpuShare: (cpu.user + cpu.system) / 1e6 / seconds,
  };
}

interface Flow {
  acked: number;
  readonly histogram: Histogram;
  isMeasuring: boolean;
  isOver: boolean;
}

interface Publisher {
  /** In one write. */
  send(count: number, stampMs: number): void;
  acked(): number;
  unacked(): number;
}

/** Without a pace as many PUBLISHes again as PUBACKs came. */
function connectPublisher(wire: Wire, topic: string, { spec, flow }: { spec: DurableSpec; flow: Flow }): Publisher {
  const frame = publishFrame(topic, PAYLOAD, { qos: 1, version: 4 });
  const idAt = idOffset(frame);
  const timeAt = frame.length - PAYLOAD.length + '{"ts":'.length;
  const sentAt = new Float64Array(65_536);
  let ts = spec.firstTs;
  let id = 0;
  let sent = 0;
  let acked = 0;
  const send = (count: number, stampMs: number): void => {
    const burst = Buffer.allocUnsafe(frame.length * count);
    for (let at = 0; at < burst.length; at += frame.length) {
      frame.copy(burst, at);
      id = (id % 65_535) + 1;
      burst.writeUInt16BE(id, at + idAt);
      burst.write(String(ts++), at + timeAt, "latin1");
      sentAt[id] = stampMs;
    }
    sent += count;
    wire.socket.write(wire.wrap(burst));
  };
  let now = 0;
  let came = 0;
  const read = createFrameReader(PUBACK_BYTES, (buffer, at) => {
    if (buffer[at] !== PUBACK || buffer[at + 1] !== 2) throw unexpected(buffer[at]);
    came++;
    if (flow.isMeasuring) flow.histogram.add(now - (sentAt[buffer.readUInt16BE(at + 2)] ?? now));
  });
  wire.receive = (buffer, start, end) => {
    if (flow.isOver) return;
    now = performance.now();
    came = 0;
    read(buffer, start, end);
    acked += came;
    flow.acked += came;
    if (came > 0 && spec.ratePerS === undefined) send(came, now);
  };
  return { send, acked: () => acked, unacked: () => sent - acked };
}
