import { type PacketTree, type Part, type Random, writePacket, writePart } from "./packet-grammar.ts";

/** Bytes that no decoder of UTF-8 may take: cut off, overlong, surrogates, beyond U+10FFFF, and U+0000. */
const NO_TEXT = ["c3", "c080", "eda080", "edbfbf", "f4908080", "f0808080", "e28228", "80", "ff", "00"].map((hex) =>
  Buffer.from(hex, "hex"),
);

const NO_TOPIC = [
  "",
  "+",
  "#",
  "a/#/b",
  "a+",
  "#a",
  "/".repeat(101),
  "$share/",
  "$share//a",
  "$share/g",
  "$share/g+/a",
  "\0",
  "$SYS/x/new/clients",
];

/** Every identifier of MQTT 5 with bytes that may be its value, in packets where it belongs and where it does not; and some that do not exist. */
function anyProperty(random: Random): Buffer {
  const id = random(8) === 0 ? random(256) : random(0x2b);
  return Buffer.concat([Buffer.from([id]), Buffer.from(Array.from({ length: random(6) }, () => (random(2) === 0 ? 0 : random(256))))]);
}

const spliced = (bytes: Buffer, at: number, gone: number, put: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + gone))]);

type TreeDamage = (tree: PacketTree, random: Random, other: PacketTree) => void;

function textOf({ parts }: PacketTree, random: Random): (Part & { kind: "text" }) | undefined {
  const texts = parts.filter((part) => part.kind === "text");
  return texts[random(Math.max(1, texts.length))];
}

function propertiesOf({ parts }: PacketTree, random: Random): (Part & { kind: "properties" }) | undefined {
  const all = parts.filter((part) => part.kind === "properties");
  return all[random(Math.max(1, all.length))];
}

const TREE_DAMAGES: readonly TreeDamage[] = [
  // Another type, other flags.
  (tree, random) => void (tree.first = (random(16) << 4) | (tree.first & 0x0f)),
  (tree, random) => void (tree.first = (tree.first & 0xf0) | random(16)),
  // A part that is missing, twice, at another's place, or from another packet.
  (tree, random) => void tree.parts.splice(random(Math.max(1, tree.parts.length)), 1),
  (tree, random) => {
    const part = tree.parts[random(Math.max(1, tree.parts.length))];
    if (part) tree.parts.splice(random(tree.parts.length + 1), 0, part);
  },
  (tree, random, other) =>
    void tree.parts.splice(random(tree.parts.length + 1), random(2), ...other.parts.slice(random(other.parts.length + 1))),
  // Text that is none, or no topic; a length that lies.
  (tree, random) => {
    const part = textOf(tree, random);
    if (part) part.bytes = spliced(part.bytes, random(part.bytes.length + 1), 0, NO_TEXT[random(NO_TEXT.length)] as Buffer);
  },
  (tree, random) => {
    const part = textOf(tree, random);
    if (part) part.bytes = Buffer.from(NO_TOPIC[random(NO_TOPIC.length)] as string);
  },
  (tree, random) => {
    const part = textOf(tree, random);
    if (!part) return;
    const bytes = writePart(part);
    bytes.writeUInt16BE([0, 1, bytes.length - 1, bytes.length, 0x7fff, 0xffff][random(6)] as number);
    tree.parts[tree.parts.indexOf(part)] = { kind: "plain", bytes };
  },
  // Properties: twice, gone, one too many, with a length that lies or is longer than it must be.
  (tree, random) => {
    const list = propertiesOf(tree, random)?.list ?? [];
    const property = list[random(Math.max(1, list.length))];
    if (property) list.push(property);
  },
  (tree, random) => {
    const list = propertiesOf(tree, random)?.list ?? [];
    list.splice(random(Math.max(1, list.length)), 1);
  },
  (tree, random) => {
    const part = propertiesOf(tree, random);
    part?.list.splice(random(part.list.length + 1), 0, anyProperty(random));
  },
  (tree, random) => {
    const part = propertiesOf(tree, random);
    if (!part) return;
    const bytes = Buffer.concat(part.list);
    const lengths = [[0x80 | (bytes.length & 0x7f), 0], [random(128)], [0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], []];
    tree.parts[tree.parts.indexOf(part)] = {
      kind: "plain",
      bytes: Buffer.concat([Buffer.from(lengths[random(lengths.length)] as number[]), bytes]),
    };
  },
  // Bytes behind the end.
  (tree, random) => void tree.parts.push({ kind: "plain", bytes: Buffer.from(Array.from({ length: 1 + random(3) }, () => random(256))) }),
];

type ByteDamage = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

const BYTE_DAMAGES: readonly ByteDamage[] = [
  (bytes, random) => {
    const at = random(bytes.length);
    bytes.writeUInt8((bytes[at] as number) ^ (1 << random(8)), at);
    return bytes;
  },
  (bytes, random) => {
    bytes.writeUInt8([0, 1, 0x7f, 0x80, 0xff][random(5)] as number, random(bytes.length));
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, 1 + random(bytes.length)),
  (bytes, random) => spliced(bytes, random(bytes.length), 0, Buffer.from([random(256), random(256)])),
  (bytes, random) => spliced(bytes, random(bytes.length), 1 + random(4), Buffer.alloc(0)),
  // The remaining length lies, is longer than it must be, or has no end.
  (bytes, random) => spliced(bytes, 1, 1, Buffer.from([random(256)])),
  (bytes) => spliced(bytes, 1, 1, Buffer.from([0x80 | ((bytes[1] ?? 0) & 0x7f), 0])),
  (bytes) => spliced(bytes, 1, 1, Buffer.from([0xff, 0xff, 0xff, 0xff])),
  // Half of one packet and half of another.
  (bytes, random, other) => Buffer.concat([bytes.subarray(0, random(bytes.length)), other.subarray(random(other.length))]),
];

/** The packet with one to three faults, in its structure or in its bytes. It may still be a good one. */
export function damaged(tree: PacketTree, other: PacketTree, random: Random): Buffer {
  const copy: PacketTree = {
    first: tree.first,
    parts: tree.parts.map((part) => ("list" in part ? { ...part, list: [...part.list] } : { ...part })),
  };
  let times = 1 + random(3);
  for (; times > 0 && random(2) === 0; times--) TREE_DAMAGES[random(TREE_DAMAGES.length)]?.(copy, random, other);
  let bytes = writePacket(copy);
  const rest = writePacket(other);
  for (; times > 0; times--) {
    bytes = BYTE_DAMAGES[random(BYTE_DAMAGES.length)]?.(bytes, random, rest) ?? bytes;
    if (bytes.length === 0) bytes = Buffer.from([random(256)]);
  }
  return bytes;
}

/** The same bytes in other pieces: whole, one by one at the start, or cut anywhere. */
export function inChunks(stream: Buffer, random: Random): Buffer[] {
  const chunks: Buffer[] = [];
  const mostBytes = [1, 3, 64, 1_460, stream.length][random(5)] as number;
  // Pieces of few bytes only for the first ones: a write each is slow.
  for (let at = 0; at < stream.length; ) {
    const size = chunks.length < 40 ? 1 + random(Math.max(1, mostBytes)) : stream.length;
    chunks.push(stream.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
