import { type Account, openAll, openConnection, publishFrame, type RawConnection, type Target } from "./connection.ts";

export interface StreamSpec extends Target {
  readonly kind: "stream";
  /** Topics of one length, so that every frame has the same size and counting is a division. */
  readonly publishers: readonly (Account & { readonly topic: string })[];
  readonly subscribers: readonly (Account & { readonly filter: string })[];
  readonly payload: string;
  /** Messages under way at most, so that no broker has a reason to drop any. */
  readonly window: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface StreamResult {
  readonly sentPerS: number;
  readonly deliveredPerS: number;
  /** Messages that did not come; each costs a stall of half a second. */
  readonly lost: number;
  /** Of the generator itself: near 1 it is the bottleneck, and the numbers are its own. */
  readonly cpuShare: number;
}

const BATCH = 20;
const STALL_MS = 500;
const PUBLISH_QOS0 = 0x30;

/** As many QoS 0 messages as the broker passes on, fan-in or fan-out, in a closed loop. */
export async function runStream(spec: StreamSpec): Promise<StreamResult> {
  const frames = spec.publishers.map(({ topic }) => publishFrame(topic, spec.payload));
  const size = frames[0]?.length ?? 0;
  if (frames.some((frame) => frame.length !== size)) throw new Error("the publishers' topics must have one length");
  const batches = frames.map((frame) => Buffer.concat(Array.from({ length: BATCH }, () => frame)));
  const subscribers = await openAll(spec.subscribers, (subscriber) => openConnection(spec, subscriber, { filter: subscriber.filter }));
  const publishers = await openAll(spec.publishers, (publisher) => openConnection(spec, publisher));

  const flow = { sent: 0, bytes: 0, lost: 0, next: 0, stopped: false };
  const perMessage = size * subscribers.length;
  const pump = (): void => {
    while (!flow.stopped && flow.sent + BATCH - flow.lost - flow.bytes / perMessage <= spec.window) {
      const turn = flow.next++ % publishers.length;
      publishers[turn]?.socket.write(batches[turn] ?? "");
      flow.sent += BATCH;
    }
  };
  let failure: Error | undefined;
  for (const subscriber of subscribers)
    countFrames(
      subscriber,
      size,
      (bytes) => {
        flow.bytes += bytes;
        pump();
      },
      (error) => {
        failure ??= error;
      },
    );
  for (const { socket } of [...subscribers, ...publishers])
    socket.on("close", () => {
      if (!flow.stopped) failure ??= new Error("the broker closed a connection");
    });

  let before = -1;
  const stall = setInterval(() => {
    if (flow.bytes === before) {
      flow.lost = flow.sent - Math.floor(flow.bytes / perMessage);
      pump();
    }
    before = flow.bytes;
  }, STALL_MS);
  pump();
  await passed(spec.warmUpMs);
  const from = { at: performance.now(), sent: flow.sent, bytes: flow.bytes, cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = process.cpuUsage(from.cpu);
  const result = {
    sentPerS: (flow.sent - from.sent) / seconds,
    deliveredPerS: (flow.bytes - from.bytes) / size / seconds,
    lost: flow.lost,
    cpuShare: (cpu.user + cpu.system) / 1e6 / seconds,
  };
  flow.stopped = true;
  clearInterval(stall);
  for (const { socket } of [...subscribers, ...publishers]) socket.destroy();
  if (failure) throw failure;
  return result;
}

/** Every frame has the same size; the first of each read is looked at, so that anything else shows. */
function countFrames(subscriber: RawConnection, size: number, count: (bytes: number) => void, fail: (error: Error) => void): void {
  let partial = 0;
  subscriber.receive = (buffer, length) => {
    const boundary = partial === 0 ? 0 : size - partial;
    if (boundary < length && buffer[boundary] !== PUBLISH_QOS0)
      fail(new Error(`a frame of another kind came: 0x${(buffer[boundary] ?? 0).toString(16)}`));
    partial = (partial + length) % size;
    count(length);
  };
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
