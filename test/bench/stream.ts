import { acknowledging } from "./acknowledge.ts";
import { type Account, openAll, openConnection } from "./connection.ts";
import { createFlow, type Flow } from "./flow.ts";
import { createFrameCounter } from "./frames.ts";
import { type Framing, idOffset, PUBACK, PUBACK_BYTES, publishByte, publishFrame } from "./packets.ts";
import { passed } from "./pace.ts";
import type { Target, Wire } from "./wire.ts";

export interface Group {
  readonly publishers: readonly (Account & { readonly topic: string })[];
  /** Each gets what all the publishers of the group send. */
  readonly subscribers: readonly (Account & { readonly filter: string })[];
}

export interface StreamSpec extends Target, Framing {
  readonly kind: "stream";
  /** Topics of one length, so that every frame has the same size and counting is a division. */
  readonly groups: readonly Group[];
  /** Where the subscribers connect, when that is another node than the publishers'. */
  readonly readAt?: Target | undefined;
  readonly payload: string;
  /** Under way to one subscriber at most, so that no broker has a reason to drop any. */
  readonly windowMessages: number;
  /** Of one publisher at QoS 1. */
  readonly unackedMessages: number;
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
const FIRST_WINDOW_MS = 10_000;
const POLL_MS = 20;

/** As many messages as the broker passes on, in a closed loop. At QoS 1 both sides acknowledge. */
export async function runStream(spec: StreamSpec): Promise<StreamResult> {
  const size = frameSize(spec);
  const opened: { flow: Flow; pump: () => void }[] = [];
  const wires: Wire[] = [];
  for (const group of await openGroups(spec)) {
    const flow = createFlow({ subscribers: group.subscribers.length, batchMessages: BATCH, windowMessages: spec.windowMessages });
    const pump = connectFlow(spec, group, { flow, size });
    opened.push({ flow, pump });
    wires.push(...group.subscribers, ...group.publishers.map(({ wire }) => wire));
  }
  let isOver = false;
  let failure: Error | undefined;
  for (const { socket } of wires)
    socket.on("close", () => {
      if (!isOver) failure ??= new Error("the broker closed a connection");
    });
  const total = (pick: (flow: Flow) => number): number => opened.reduce((sum, { flow }) => sum + pick(flow), 0);
  const delivered = (): number => total((flow) => flow.deliveredMessages);
  let before = -1;
  const stall = setInterval(() => {
    const now = delivered();
    if (now === before)
      for (const { flow, pump } of opened) {
        flow.writeOff();
        pump();
      }
    before = now;
  }, STALL_MS);
  for (const { pump } of opened) pump();
  await passed(spec.warmUpMs);
  // A broker may take its time for the first window: what it does with a loop that is closed is measured.
  for (let leftMs = FIRST_WINDOW_MS; delivered() === 0 && leftMs > 0; leftMs -= POLL_MS) await passed(POLL_MS);
  const from = { at: performance.now(), sent: total((flow) => flow.sentMessages), delivered: delivered(), cpu: process.cpuUsage() };
  await passed(spec.measureMs);
  const seconds = (performance.now() - from.at) / 1000;
  const cpu = process.cpuUsage(from.cpu);
  const result = {
    sentPerS: (total((flow) => flow.sentMessages) - from.sent) / seconds,
    deliveredPerS: (delivered() - from.delivered) / seconds,
    lost: total((flow) => flow.lostMessages),
    cpuShare: (cpu.user + cpu.system) / 1e6 / seconds,
  };
  isOver = true;
  clearInterval(stall);
  for (const { socket } of wires) socket.destroy();
  if (failure) throw failure;
  return result;
}

interface OpenGroup {
  readonly publishers: readonly { readonly wire: Wire; readonly topic: string }[];
  readonly subscribers: readonly Wire[];
}

async function openGroups(spec: StreamSpec): Promise<OpenGroup[]> {
  const { qos, version } = spec;
  const subscribers = await openAll(
    spec.groups.flatMap((group) => group.subscribers),
    (subscriber) => openConnection(spec.readAt ?? spec, subscriber, { filter: subscriber.filter, qos, version }),
  );
  const publishers = await openAll(
    spec.groups.flatMap((group) => group.publishers),
    (publisher) => openConnection(spec, publisher, { version }),
  );
  return spec.groups.map((group) => {
    const wires = publishers.splice(0, group.publishers.length);
    return {
      subscribers: subscribers.splice(0, group.subscribers.length),
      publishers: wires.map((wire, index) => ({ wire, topic: group.publishers[index]?.topic ?? "" })),
    };
  });
}

/** Lets a group run; the returned function sends what there is room for. */
function connectFlow(spec: StreamSpec, group: OpenGroup, { flow, size }: { flow: Flow; size: number }): () => void {
  const publishers: Publisher[] = [];
  const idAt = idOffset(publishFrame(group.publishers[0]?.topic ?? "", spec.payload, spec));
  let next = 0;
  const pump = (): void => {
    for (let tried = 0; tried < publishers.length && flow.hasRoom(); ) {
      const publisher = publishers[next++ % publishers.length];
      if (publisher?.sendBatch()) {
        flow.addBatch();
        tried = 0;
      } else tried++;
    }
  };
  for (const { wire, topic } of group.publishers)
    publishers.push(spec.qos === 0 ? carefree(wire, spec, topic) : acknowledged(wire, spec, { topic, onRoom: pump }));
  for (const [index, wire] of group.subscribers.entries()) {
    const arrived = (messages: number): void => {
      flow.arrive(index, messages);
      pump();
    };
    wire.receive =
      spec.qos === 0 ? createFrameCounter(size, publishByte(0), arrived) : acknowledging(wire, { size, idAt }, { onRead: arrived });
  }
  return pump;
}

interface Publisher {
  /** false: too many of its messages are not acknowledged yet. */
  sendBatch(): boolean;
}

function carefree({ socket, wrap }: Wire, spec: StreamSpec, topic: string): Publisher {
  const frame = wrap(publishFrame(topic, spec.payload, spec));
  const batch = Buffer.concat(Array.from({ length: BATCH }, () => frame));
  return {
    sendBatch() {
      socket.write(batch);
      return true;
    },
  };
}

function acknowledged(wire: Wire, spec: StreamSpec, { topic, onRoom }: { topic: string; onRoom: () => void }): Publisher {
  const packet = publishFrame(topic, spec.payload, spec);
  const frame = wire.wrap(packet);
  const idAt = frame.length - packet.length + idOffset(packet);
  const batch = Buffer.concat(Array.from({ length: BATCH }, () => frame));
  let unacked = 0;
  let id = 0;
  wire.receive = createFrameCounter(PUBACK_BYTES, PUBACK, (acks) => {
    const wasFull = unacked + BATCH > spec.unackedMessages;
    unacked -= acks;
    if (wasFull && unacked + BATCH <= spec.unackedMessages) onRoom();
  });
  return {
    sendBatch() {
      if (unacked + BATCH > spec.unackedMessages) return false;
      // A copy: the socket may still hold the last one.
      const copy = Buffer.allocUnsafe(batch.length);
      batch.copy(copy);
      for (let at = idAt; at < copy.length; at += frame.length) {
        id = (id % 65_535) + 1;
        copy[at] = id >> 8;
        copy[at + 1] = id & 0xff;
      }
      wire.socket.write(copy);
      unacked += BATCH;
      return true;
    },
  };
}

function frameSize(spec: StreamSpec): number {
  const sizes = new Set(
    spec.groups.flatMap((group) => group.publishers.map(({ topic }) => publishFrame(topic, spec.payload, spec).length)),
  );
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined) throw new Error("the publishers' topics must have one length");
  return size;
}
