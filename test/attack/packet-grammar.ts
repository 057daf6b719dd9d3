/** A number from 0 up to, and without, `below`. */
export type Random = (below: number) => number;

/** mulberry32: small, and the same everywhere. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

export type Version = 3 | 4 | 5;

/** What packets are made of: who sends them, and which topics they name. */
export interface Vocabulary {
  readonly version: Version;
  readonly login: { readonly clientId: string; readonly username: string; readonly password: string };
  readonly topics: readonly string[];
}

/** A part of a packet: bytes as they are, bytes with two bytes of length in front, or properties with their length. */
export type Part =
  | { kind: "plain"; bytes: Buffer }
  | { kind: "text"; bytes: Buffer }
  | { kind: "properties"; of: PropertiesOf; list: Buffer[] };

/** A packet before it is written: the first byte, and what its remaining length covers. */
export interface PacketTree {
  first: number;
  parts: Part[];
}

export type PropertiesOf = "connect" | "will" | "publish" | "subscribe" | "unsubscribe" | "acknowledgement" | "disconnect";

const plain = (...bytes: number[]): Part => ({ kind: "plain", bytes: Buffer.from(bytes) });
const text = (value: string | Buffer): Part => ({ kind: "text", bytes: Buffer.from(value as string) });
const short = (value: number): Part => plain(value >> 8, value & 0xff);
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;

export function variableInteger(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 128) | (rest >= 128 ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}

export function writePart(part: Part): Buffer {
  if (part.kind === "plain") return part.bytes;
  if (part.kind === "properties") {
    const bytes = Buffer.concat(part.list);
    return Buffer.concat([variableInteger(bytes.length), bytes]);
  }
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Math.min(part.bytes.length, 0xffff));
  return Buffer.concat([length, part.bytes]);
}

export function writePacket({ first, parts }: PacketTree): Buffer {
  const body = Buffer.concat(parts.map(writePart));
  return Buffer.concat([Buffer.from([first]), variableInteger(body.length), body]);
}

const TEXTS = ["", "a", "text/plain", "größe", "\u{1f600}", "\ufeffbom", "x".repeat(130), "/", "$", "-1", "\u0001"];
const someText = (random: Random): Buffer => Buffer.from(pick(random, TEXTS));

function long(random: Random): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(pick(random, [1, 2, 9, 60, 3_600, 0xffff, 0xffff_fffe, 0xffff_ffff]));
  return bytes;
}

/** Every property that a client may send, by its identifier: its value, and in which packets it stands. */
const PROPERTIES: Record<number, { in: readonly PropertiesOf[]; value: (random: Random, topic: string) => Buffer }> = {
  0x01: { in: ["publish", "will"], value: (random) => Buffer.from([random(2)]) },
  0x02: { in: ["publish", "will"], value: long },
  0x03: { in: ["publish", "will"], value: (random) => writePart(text(someText(random))) },
  0x08: { in: ["publish", "will"], value: (_random, topic) => writePart(text(topic)) },
  0x09: { in: ["publish", "will"], value: (random) => writePart(text(Buffer.alloc(random(40), random(256)))) },
  0x0b: { in: ["subscribe"], value: (random) => variableInteger(1 + random(random(2) === 0 ? 127 : 268_435_454)) },
  0x11: { in: ["connect", "disconnect"], value: (random) => Buffer.from([0, 0, 0, random(10)]) },
  0x17: { in: ["connect"], value: (random) => Buffer.from([random(2)]) },
  0x18: { in: ["will"], value: (random) => Buffer.from([0, 0, 0, random(3)]) },
  0x19: { in: ["connect"], value: (random) => Buffer.from([random(2)]) },
  0x1f: { in: ["acknowledgement", "disconnect"], value: (random) => writePart(text(someText(random))) },
  0x21: { in: ["connect"], value: (random) => Buffer.from([random(2), 1 + random(255)]) },
  0x22: { in: ["connect"], value: (random) => Buffer.from([0, random(256)]) },
  0x23: { in: ["publish"], value: (random) => Buffer.from([0, 1 + random(12)]) },
  0x26: {
    in: ["connect", "will", "publish", "subscribe", "unsubscribe", "acknowledgement", "disconnect"],
    value: (random) => Buffer.concat([writePart(text(someText(random))), writePart(text(someText(random)))]),
  },
  0x27: { in: ["connect"], value: (random) => Buffer.from([0, random(3), random(256), 1 + random(255)]) },
};

const USER_PROPERTY = 0x26;

function properties({ version, topics }: Vocabulary, random: Random, of: PropertiesOf): Part[] {
  if (version !== 5) return [];
  const list: Buffer[] = [];
  if (random(3) > 0)
    for (const [key, { in: packets, value }] of Object.entries(PROPERTIES)) {
      const id = Number(key);
      if (!packets.includes(of) || random(3) > 0) continue;
      for (let times = id === USER_PROPERTY ? 1 + random(3) : 1; times > 0; times--)
        list.push(Buffer.concat([Buffer.from([id]), value(random, pick(random, topics))]));
    }
  return [{ kind: "properties", of, list }];
}

/** The CONNECT that logs in, without a will. */
export function connectTree({ version, login }: Vocabulary, isClean = true): PacketTree {
  const protocol = [text(version === 3 ? "MQIsdp" : "MQTT"), plain(version, 0xc0 | (isClean ? 2 : 0), 0, 60)];
  // Sessions that stay are forgotten after 5 s.
  const expiry: Part[] = version === 5 ? [{ kind: "properties", of: "connect", list: [Buffer.from([0x11, 0, 0, 0, 5])] }] : [];
  return { first: 0x10, parts: [...protocol, ...expiry, text(login.clientId), text(login.username), text(login.password)] };
}

/** A CONNECT with anything that may stand in one; its credentials are wrong more often than right. */
export function anyConnect(vocabulary: Vocabulary, random: Random): PacketTree {
  const { version, login, topics } = vocabulary;
  const hasWill = random(2) === 0;
  const hasName = random(4) > 0;
  const hasPassword = hasName ? random(4) > 0 : version === 5 && random(2) === 0;
  const isClean = random(2) === 0;
  const will = hasWill ? 0x04 | (random(3) << 3) | (random(2) << 5) : 0;
  const flags = (hasName ? 0x80 : 0) | (hasPassword ? 0x40 : 0) | will | (isClean ? 2 : 0);
  const needsId = version === 3 || (version === 4 && !isClean);
  const id = random(4) > 0 || needsId ? login.clientId : "";
  const willParts = (): Part[] => [...properties(vocabulary, random, "will"), text(pick(random, topics)), text(someText(random))];
  return {
    first: 0x10,
    parts: [
      text(version === 3 ? "MQIsdp" : "MQTT"),
      plain(version, flags),
      short(pick(random, [0, 1, 30, 1_200, 65_535])),
      ...properties(vocabulary, random, "connect"),
      text(id),
      ...(hasWill ? willParts() : []),
      ...(hasName ? [text(pick(random, [login.username, "nobody", ""]))] : []),
      ...(hasPassword ? [text(pick(random, ["wrong", "", login.password]))] : []),
    ],
  };
}

const PAYLOADS = [
  "",
  "ON",
  "online",
  '{"values":{"t":1}}',
  '[{"values":{"t":1,"u":"x"}},{"ts":1,"values":{"t":true}}]',
  '{"command_id":"x","status":"ok"}',
  '{"task_id":"t","results":[{"__proto__":{"x":1}}]}',
  '{"broken":',
  "\0\0\0",
  "\ufffe",
  "[".repeat(200),
];

export function anyPublish(vocabulary: Vocabulary, random: Random): PacketTree {
  const qos = random(3);
  const flags = (qos << 1) | random(2) | (qos > 0 ? random(2) << 3 : 0);
  const topic = text(pick(random, vocabulary.topics));
  const known = properties(vocabulary, random, "publish");
  return {
    first: 0x30 | flags,
    parts: [topic, ...(qos > 0 ? [short(1 + random(20))] : []), ...known, { kind: "plain", bytes: Buffer.from(pick(random, PAYLOADS)) }],
  };
}

const FILTERS = ["#", "+", "+/#", "+/+/+", "/", "//", "a/+/b", "$SYS/#", "$hub/#", "$share/g/+/+", "$share/g/#", "a".repeat(600), "ä/é"];

function anySubscribe(vocabulary: Vocabulary, random: Random): PacketTree {
  const parts: Part[] = [short(1 + random(0xffff)), ...properties(vocabulary, random, "subscribe")];
  for (let left = 1 + random(4); left > 0; left--) {
    const filter = pick(random, random(2) === 0 ? FILTERS : vocabulary.topics);
    const noLocal = filter.startsWith("$share/") ? 0 : random(2) << 2;
    parts.push(text(filter), plain(random(3) | (vocabulary.version === 5 ? noLocal | (random(2) << 3) | (random(3) << 4) : 0)));
  }
  return { first: 0x82, parts };
}

function anyUnsubscribe(vocabulary: Vocabulary, random: Random): PacketTree {
  const filters = Array.from({ length: 1 + random(4) }, () => text(pick(random, random(2) === 0 ? FILTERS : vocabulary.topics)));
  return { first: 0xa2, parts: [short(1 + random(0xffff)), ...properties(vocabulary, random, "unsubscribe"), ...filters] };
}

const RECEIVED_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED_CODES = [0x00, 0x92];
const DISCONNECT_CODES = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

/** Nothing, a code, or a code and properties: what may be left out at the end of MQTT 5's acknowledgements. */
function ending(vocabulary: Vocabulary, random: Random, codes: readonly number[], of: PropertiesOf): Part[] {
  const length = vocabulary.version === 5 ? random(3) : 0;
  if (length === 0) return [];
  return [plain(pick(random, codes)), ...(length === 2 ? properties(vocabulary, random, of) : [])];
}

function anyAcknowledgement(vocabulary: Vocabulary, random: Random): PacketTree {
  const first = pick(random, [0x40, 0x50, 0x62, 0x70]);
  const codes = first < 0x60 ? RECEIVED_CODES : RELEASED_CODES;
  return { first, parts: [short(1 + random(20)), ...ending(vocabulary, random, codes, "acknowledgement")] };
}

export function anyDisconnect(vocabulary: Vocabulary, random: Random): PacketTree {
  return { first: 0xe0, parts: ending(vocabulary, random, DISCONNECT_CODES, "disconnect") };
}

/** A packet that leaves a session open, as the specification sees it. */
export function anyPacket(vocabulary: Vocabulary, random: Random): PacketTree {
  const kind = random(10);
  if (kind < 4) return anyPublish(vocabulary, random);
  if (kind < 6) return anySubscribe(vocabulary, random);
  if (kind < 7) return anyUnsubscribe(vocabulary, random);
  return kind < 9 ? anyAcknowledgement(vocabulary, random) : { first: 0xc0, parts: [] };
}
