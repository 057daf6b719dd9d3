import { type Letter, parseLetter } from "./message-letter.ts";
import type { Neighbours } from "./neighbours.ts";

/** What nodes send each other. */
export const MAIL_KINDS = {
  message: 1,
  /** A message for one session that has moved: see {@link encodeForSession}. */
  forSession: 2,
  /** A message from the mail of a dead node, for what came from it: its id (36 bytes) and the message. */
  fromDead: 3,
  /** A message that this node is to give to one member of a group: see {@link encodeForGroups}. */
  forGroup: 4,
  /** The same for all groups but those. */
  forOtherGroups: 5,
  /** A node is dead: what it committed since then (8 bytes, ms since 1970) may not have been heard here. */
  replay: 6,
} as const;

const NODE_ID_BYTES = 36;
const GROUP_BYTES = 16;

/** Who is to get a message where it is now; with a group as a member of that. */
export interface Addressee {
  readonly clientId: string;
  readonly group: string | undefined;
}

/** Whether it is for a member of a group (1 byte), that group's name (16), the length of the client id (2), the id and the message. */
export function encodeForSession({ clientId, group = "" }: Addressee, letter: Buffer): Buffer {
  const id = Buffer.from(clientId);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(id.length);
  return Buffer.concat([Buffer.from([group === "" ? 0 : 1]), Buffer.from(group, "hex"), length, id, letter]);
}

function parseForSession(bytes: Buffer): { readonly to: Addressee; readonly letter: Letter } {
  const start = bytes[0] === 1 ? 1 + GROUP_BYTES : 1;
  const end = start + 2 + bytes.readUInt16BE(start);
  const group = bytes[0] === 1 ? bytes.toString("hex", 1, start) : undefined;
  return { to: { clientId: bytes.toString("utf8", start + 2, end), group }, letter: parseLetter(bytes.subarray(end)) };
}

export const encodeForDead = (deadId: string, letter: Buffer): Buffer => Buffer.concat([Buffer.from(deadId, "latin1"), letter]);

/** How often it was sent on (1 byte), the number of groups (2), their names (16 each) and the message. */
export function encodeForGroups(groups: readonly string[], letter: Buffer, hops = 0): Buffer {
  const head = Buffer.alloc(3);
  head[0] = hops;
  head.writeUInt16BE(groups.length, 1);
  return Buffer.concat([head, ...groups.map((group) => Buffer.from(group, "hex")), letter]);
}

export function encodeReplay(since: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(since);
  return bytes;
}

function parseForGroups(bytes: Buffer): { readonly groups: readonly string[]; readonly hops: number; readonly letter: Letter } {
  const end = 3 + bytes.readUInt16BE(1) * GROUP_BYTES;
  const groups: string[] = [];
  for (let at = 3; at < end; at += GROUP_BYTES) groups.push(bytes.toString("hex", at, at + GROUP_BYTES));
  return { groups, hops: bytes[0] as number, letter: parseLetter(bytes.subarray(end)) };
}

type Work = Promise<void> | undefined;

/** What a node does with the mail of others. What a function returns is waited for before the next is read. */
export interface Readers {
  message(letter: Letter): Work;
  forSession(to: Addressee, letter: Letter): Work;
  fromDead(deadId: string, letter: Letter): Work;
  forGroup(group: string, letter: Letter, hops: number): Work;
  forOtherGroups(groups: readonly string[], letter: Letter): Work;
  replay(since: number): Work;
}

/** Reads what another node sent. */
export function readMail(kind: number, bytes: Buffer, readers: Readers): Work {
  switch (kind) {
    case MAIL_KINDS.message:
      return readers.message(parseLetter(bytes));
    case MAIL_KINDS.forSession: {
      const { to, letter } = parseForSession(bytes);
      return readers.forSession(to, letter);
    }
    case MAIL_KINDS.fromDead:
      return readers.fromDead(bytes.toString("latin1", 0, NODE_ID_BYTES), parseLetter(bytes.subarray(NODE_ID_BYTES)));
    case MAIL_KINDS.forGroup: {
      const { groups, letter, hops } = parseForGroups(bytes);
      return readers.forGroup(groups[0] as string, letter, hops);
    }
    case MAIL_KINDS.forOtherGroups: {
      const { groups, letter } = parseForGroups(bytes);
      return readers.forOtherGroups(groups, letter);
    }
    case MAIL_KINDS.replay:
      return readers.replay(bytes.readDoubleBE(0));
    default:
      return undefined;
  }
}

/**
 * Reads the mail of a node that is dead: what was for its sessions is for whoever has them, and may be here or elsewhere.
 * Everything else it has to do this node does in its place.
 */
export function readDeadMail(
  { deadId, kind, bytes }: { deadId: string; kind: number; bytes: Buffer },
  readers: Readers,
  neighbours: Neighbours,
): Work {
  if (kind === MAIL_KINDS.message) {
    neighbours.passOnDead(deadId, bytes);
    return readers.fromDead(deadId, parseLetter(bytes));
  }
  if (kind === MAIL_KINDS.fromDead) {
    const letter = bytes.subarray(NODE_ID_BYTES);
    neighbours.sendLiving(kind, encodeForDead(deadId, letter));
    return readers.fromDead(deadId, parseLetter(letter));
  }
  if (kind === MAIL_KINDS.forSession || kind === MAIL_KINDS.forOtherGroups) neighbours.sendLiving(kind, bytes);
  return readMail(kind, bytes, readers);
}
