import { type Account, openAll, openConnection, publishFrame, type RawConnection, type Target } from "./connection.ts";
import { createHistogram, type Histogram, type Latency } from "./histogram.ts";

export interface DurableSpec extends Target {
  readonly kind: "durable";
  readonly publishers: readonly (Account & { readonly topic: string })[];
  /** Unacknowledged messages of each publisher. */
  readonly inFlight: number;
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

const PUBACK = 0x40;
const TIME_DIGITS = 13;

/** Readings at QoS 1, each with a time of its own so that none is a duplicate to the store; time from write to PUBACK. */
export async function runDurable(spec: DurableSpec): Promise<DurableResult> {
  const histogram = createHistogram();
  const state: Flow = { acked: 0, ackedBy: spec.publishers.map(() => 0), measuring: false, stopped: false };
  const connections = await openAll(spec.publishers, (publisher) => openConnection(spec, publisher));
  let failure: Error | undefined;
  for (const [index, connection] of connections.entries()) {
    connection.socket.on("close", () => {
      if (!state.stopped) failure ??= new Error("the broker closed a connection");
    });
    drive(connection, index, { spec, histogram, state });
  }
  await passed(spec.warmUpMs);
  state.measuring = true;
  const from = { at: performance.now(), acked: state.acked, cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = process.cpuUsage(from.cpu);
  const ackedPerS = (state.acked - from.acked) / seconds;
  state.stopped = true;
  for (const { socket } of connections) socket.destroy();
  if (failure) throw failure;
  return { ackedPerS, acked: state.ackedBy, latency: histogram.summary(), cpuShare: (cpu.user + cpu.system) / 1e6 / seconds };
}

interface Flow {
  acked: number;
  readonly ackedBy: number[];
  measuring: boolean;
  stopped: boolean;
}

/** One publisher: as many PUBLISHes again as PUBACKs came, in one write. */
function drive(
  connection: RawConnection,
  index: number,
  { spec, histogram, state }: { spec: DurableSpec; histogram: Histogram; state: Flow },
): void {
  const frame = publishFrame(spec.publishers[index]?.topic ?? "", `{"ts":${"0".repeat(TIME_DIGITS)},"values":{"temperature":21.5}}`, 1);
  const idAt = frame.length - `{"ts":${"0".repeat(TIME_DIGITS)},"values":{"temperature":21.5}}`.length - 2;
  const timeAt = idAt + 2 + '{"ts":'.length;
  const sentAt = new Float64Array(65_536);
  let ts = spec.firstTs;
  let id = 0;
  const send = (count: number): void => {
    const burst = Buffer.allocUnsafe(frame.length * count);
    const now = performance.now();
    for (let at = 0; at < burst.length; at += frame.length) {
      frame.copy(burst, at);
      id = (id % 65_535) + 1;
      burst.writeUInt16BE(id, at + idAt);
      burst.write(String(ts++), at + timeAt, "latin1");
      sentAt[id] = now;
    }
    connection.socket.write(burst);
  };
  const head = new Uint8Array(4);
  let partial = 0;
  connection.receive = (buffer, length) => {
    const now = performance.now();
    let acked = 0;
    for (let at = 0; at < length; at++) {
      head[partial++] = buffer[at] ?? 0;
      if (partial < 4) continue;
      partial = 0;
      if (head[0] !== PUBACK || head[1] !== 2) return void connection.socket.destroy(new Error("a frame of another kind than PUBACK came"));
      acked++;
      if (state.measuring) histogram.add(now - (sentAt[((head[2] ?? 0) << 8) | (head[3] ?? 0)] ?? now));
    }
    if (state.stopped) return;
    state.acked += acked;
    state.ackedBy[index] = (state.ackedBy[index] ?? 0) + acked;
    if (acked > 0) send(acked);
  };
  send(spec.inFlight);
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
