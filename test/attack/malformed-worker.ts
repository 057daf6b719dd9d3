import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { checkFrame, bodyOffset, readHeader, remainingLength } from "../../broker/frame.ts";
import { damaged, inChunks } from "./packet-damage.ts";
import {
  anyConnect,
  anyDisconnect,
  anyPacket,
  connectTree,
  type PacketTree,
  type Random,
  randomOf,
  type Version,
  type Vocabulary,
  writePacket,
} from "./packet-grammar.ts";

/** The attackers, in a thread of their own, so that what they do does not count as the hub's delay. */

export interface AttackOrder {
  readonly seed: number;
  readonly packets: number;
  readonly target: { readonly tcp: number; readonly tls: number; readonly ca: string; readonly ws: string };
  /** One lane each: a device and a service account, which log in over and over. */
  readonly lanes: readonly { readonly device: Login; readonly service: Login; readonly topics: readonly string[] }[];
}

type Login = Vocabulary["login"];

const TRANSPORTS = ["tcp", "tls", "ws"] as const;
const STAGES = ["before login", "device", "service"] as const;

/** What was sent, in all and by `<transport> <stage> <version>`. */
export interface AttackReport {
  readonly packets: number;
  readonly connections: number;
  readonly byKind: Readonly<Record<string, number>>;
  /** Connections that the hub had not closed 20 s after their end. */
  readonly leftOpen: number;
}

/** Packets of one session at most: one that no connection survives is its last but two. */
const MOST_PER_SESSION = 40;
const CLOSE_TIMEOUT_MS = 20_000;
const DISCONNECT = Buffer.from([0xe0, 0]);
const LIMITS = { topicLevels: 32, topicBytes: 65_535 };

/** Whether a connection would live on: one whole frame in which nothing is wrong. */
function isHarmless(packet: Buffer, version: Version): boolean {
  const header = readHeader(packet, 0, packet.length);
  if (header < 0 || bodyOffset(header) + remainingLength(header) !== packet.length) return false;
  const type = (packet[0] as number) >> 4;
  return type !== 1 && type !== 14 && checkFrame(packet, 0, packet.length, version, LIMITS) === undefined;
}

function anyTree(vocabulary: Vocabulary, random: Random): PacketTree {
  const kind = random(24);
  return kind === 0 ? anyConnect(vocabulary, random) : kind === 1 ? anyDisconnect(vocabulary, random) : anyPacket(vocabulary, random);
}

/** Damaged packets that a connection survives, as long as chance has it, then one that it does not, and two more behind it. */
function sessionPackets(vocabulary: Vocabulary, random: Random): Buffer[] {
  const next = (): Buffer => damaged(anyTree(vocabulary, random), anyTree(vocabulary, random), random);
  const packets: Buffer[] = [];
  while (packets.length < MOST_PER_SESSION - 3) {
    const packet = next();
    if (isHarmless(packet, vocabulary.version)) packets.push(packet);
    else if (random(36) === 0) {
      packets.push(packet);
      break;
    }
  }
  packets.push(next(), next());
  return packets;
}

function firstPackets(vocabulary: Vocabulary, random: Random): Buffer[] {
  const connect = anyConnect(vocabulary, random);
  return [damaged(random(4) === 0 ? anyPacket(vocabulary, random) : connect, connect, random)];
}

/** Whether the hub closed the connection in time, after the bytes were written and this side was ended. */
function overSocket(socket: Socket, chunks: readonly Buffer[]): Promise<boolean> {
  socket.on("error", () => undefined);
  socket.resume();
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(false);
      socket.destroy();
    }, CLOSE_TIMEOUT_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
    for (const chunk of chunks) socket.write(chunk);
    socket.end();
  });
}

function overWebSocket(url: string, chunks: readonly Buffer[], asText: boolean): Promise<boolean> {
  const socket = new WebSocket(url, "mqtt");
  socket.binaryType = "arraybuffer";
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), CLOSE_TIMEOUT_MS);
    socket.addEventListener("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
    socket.addEventListener("open", () => {
      for (const chunk of chunks) socket.send(asText ? chunk.toString("latin1") : new Uint8Array(chunk));
      socket.close();
    });
  });
}

async function attack(order: AttackOrder): Promise<AttackReport> {
  const { target } = order;
  const ca = readFileSync(target.ca);
  const random = randomOf(order.seed);
  const byKind: Record<string, number> = {};
  let packets = 0;
  let connections = 0;
  let leftOpen = 0;

  async function session(lane: AttackOrder["lanes"][number]): Promise<void> {
    const version = ([3, 4, 4, 5, 5] as const)[random(5)] as Version;
    const transport = TRANSPORTS[[0, 0, 0, 1, 2][random(5)] as number] as (typeof TRANSPORTS)[number];
    const stage = STAGES[[0, 1, 1, 2, 2][random(5)] as number] as (typeof STAGES)[number];
    const vocabulary: Vocabulary = { version, topics: lane.topics, login: stage === "service" ? lane.service : lane.device };
    const list = stage === "before login" ? firstPackets(vocabulary, random) : sessionPackets(vocabulary, random);
    packets += list.length;
    connections++;
    const kind = `${transport}, ${stage}, MQTT ${version}`;
    byKind[kind] = (byKind[kind] ?? 0) + list.length;
    if (stage !== "before login") list.unshift(writePacket(connectTree(vocabulary, random(8) > 0)));
    const chunks = inChunks(Buffer.concat(list), random);
    const isClosed = await (transport === "ws"
      ? overWebSocket(target.ws, chunks, random(20) === 0)
      : overSocket(
          transport === "tcp"
            ? connectTcp(target.tcp, "127.0.0.1")
            : connectTls({ port: target.tls, host: "127.0.0.1", ca, servername: "localhost" }),
          chunks,
        ));
    if (!isClosed) leftOpen++;
  }

  /** What was stored for an attacker, messages above all, is no leak. */
  async function forget(login: Login): Promise<void> {
    const connect = writePacket(connectTree({ version: 4, topics: [], login }));
    if (!(await overSocket(connectTcp(target.tcp, "127.0.0.1"), [connect, DISCONNECT]))) leftOpen++;
  }

  await Promise.all(
    order.lanes.map(async (lane) => {
      while (packets < order.packets) await session(lane);
      await forget(lane.device);
      await forget(lane.service);
    }),
  );
  return { packets, connections, byKind, leftOpen };
}

parentPort?.postMessage(await attack(workerData as AttackOrder));
