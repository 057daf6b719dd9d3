import { fault } from "./definition.ts";
import { bitLevels, bitsOf, decodeLevels, encodeLevels } from "./ir-biphase.ts";
import { type Decoded, decodePulses, encodePulses, type PulseFrame } from "./ir-pulses.ts";
import type { IrMessage, IrSignal } from "./ir-signal.ts";

interface Content {
  readonly address: number;
  readonly command: number;
}
interface IrProtocol {
  readonly carrierHz: number;
  readonly addressBits: number;
  readonly commandBits: number;
  /** How often receivers want it beside the first time. */
  readonly repeat?: number;
  encode(content: Content): number[];
  decode(timings: readonly number[]): Decoded<Content> | undefined;
}

/** Where address and command stand among the bits, and back; what the bits repeat or complement is checked by writing them again. */
interface Layout {
  write(address: bigint, command: bigint): bigint;
  read(bits: bigint): readonly [address: bigint, command: bigint];
}

const mask = (width: number): bigint => (1n << BigInt(width)) - 1n;
const not = (value: bigint, width: number): bigint => value ^ mask(width);
const part = (bits: bigint, from: number, width: number): bigint => (bits >> BigInt(from)) & mask(width);
/** Values with their widths, the lowest first. */
const joined = (...parts: readonly (readonly [bigint, number])[]): bigint =>
  parts.reduceRight((bits, [value, width]) => (bits << BigInt(width)) | (value & mask(width)), 0n);

/** Address and command one after the other, or the other way round. */
const plain = (addressAt: number, addressBits: number, commandAt: number, commandBits: number): Layout => ({
  write: (address, command) => (address << BigInt(addressAt)) | (command << BigInt(commandAt)),
  read: (bits) => [part(bits, addressAt, addressBits), part(bits, commandAt, commandBits)],
});
/** Each followed by its complement. */
const complemented = (addressBits: number, commandBits: number): Layout => ({
  write: (address, command) =>
    joined(
      [address, addressBits],
      [not(address, addressBits), addressBits],
      [command, commandBits],
      [not(command, commandBits), commandBits],
    ),
  read: (bits) => [part(bits, 0, addressBits), part(bits, addressBits * 2, commandBits)],
});

function pulses(frame: PulseFrame, layout: Layout, about: Omit<IrProtocol, "encode" | "decode">): IrProtocol {
  return {
    ...about,
    encode: ({ address, command }) => encodePulses(frame, layout.write(BigInt(address), BigInt(command))),
    decode(timings) {
      const found = decodePulses(frame, timings);
      if (!found) return undefined;
      const [address, command] = layout.read(found.value);
      if (layout.write(address, command) !== found.value) return undefined;
      return { value: { address: Number(address), command: Number(command) }, error: found.error };
    },
  };
}

const NEC_FRAME: PulseFrame = { header: [9_000, 4_500], zero: [560, 560], one: [560, 1_690], bits: 32, stopUs: 560, periodUs: 110_000 };
const SIRC_FRAME = { header: [2_400, 600], zero: [600, 600], one: [1_200, 600], stopUs: undefined, periodUs: 45_000 } as const;
const SIRC = { carrierHz: 40_000, commandBits: 7, repeat: 2 } as const;

function sirc(addressBits: number): IrProtocol {
  return pulses({ ...SIRC_FRAME, bits: 7 + addressBits }, plain(7, addressBits, 0, 7), { ...SIRC, addressBits });
}

/** Twice the address, then the command and its complement. */
const SAMSUNG: Layout = {
  write: (address, command) => joined([address, 8], [address, 8], [command, 8], [not(command, 8), 8]),
  read: (bits) => [part(bits, 0, 8), part(bits, 16, 8)],
};
/** Address and command, and then the complements of both. */
const RCA: Layout = {
  write: (address, command) => joined([address, 4], [command, 8], [not(address, 4), 4], [not(command, 8), 8]),
  read: (bits) => [part(bits, 0, 4), part(bits, 4, 8)],
};
/**
 * Vendor (16 bits), its parity, two genres of 4, 10 bits of command, an id of 2, and a parity over the last three bytes before it. The
 * address is the second genre, the first, the vendor and the id, from the lowest bit on; Panasonic's vendor is 0x2002.
 */
const KASEIKYO: Layout = {
  write(address, command) {
    const vendor = part(address, 8, 16);
    const byte = (vendor ^ (vendor >> 8n)) & 0xffn;
    const third = joined([(byte ^ (byte >> 4n)) & 0xfn, 4], [part(address, 4, 4), 4]);
    const fourth = joined([part(address, 0, 4), 4], [part(command, 0, 4), 4]);
    const fifth = joined([part(command, 4, 6), 6], [part(address, 24, 2), 2]);
    return joined([vendor, 16], [third, 8], [fourth, 8], [fifth, 8], [third ^ fourth ^ fifth, 8]);
  },
  read: (bits) => [
    joined([part(bits, 24, 4), 4], [part(bits, 20, 4), 4], [part(bits, 0, 16), 16], [part(bits, 38, 2), 2]),
    part(bits, 28, 10),
  ],
};

const RC5_UNIT_US = 889;
const RC5_LEVELS = 28;

/** `second` is the second start bit, which the extended form has as another bit of its command. */
function rc5(second: 0 | 1): IrProtocol {
  return {
    carrierHz: 36_000,
    addressBits: 5,
    commandBits: 6,
    encode({ address, command }) {
      const bits = (1 << 13) | (second << 12) | (address << 6) | command;
      return encodeLevels(bitLevels(bits, 14, false), RC5_UNIT_US, 113_778);
    },
    decode(timings) {
      const found = decodeLevels(timings, RC5_UNIT_US, RC5_LEVELS);
      if (!found) return undefined;
      // The first half of the first bit, and maybe the second of the last, cannot be told from silence.
      const levels = [false, ...found.value];
      if (levels.length === RC5_LEVELS - 1) levels.push(false);
      const bits = levels.length === RC5_LEVELS ? bitsOf(levels, false) : undefined;
      // Whatever the toggle bit says: it changes with every press.
      if (bits === undefined || bits >> 12 !== (2 | second)) return undefined;
      return { value: { address: (bits >> 6) & 0x1f, command: bits & 0x3f }, error: found.error };
    },
  };
}

const RC6_UNIT_US = 444;
const RC6_HEADER = [true, true, true, true, true, true, false, false];
/** A start bit, and mode 0. */
const RC6_MODE = [true, false, false, true, false, true, false, true];
/** Twice as long as another bit, and 0. */
const RC6_TOGGLE = [false, false, true, true];
const RC6_START = [...RC6_HEADER, ...RC6_MODE];
const RC6_CONTENT_AT = RC6_START.length + RC6_TOGGLE.length;
const RC6_LEVELS = RC6_CONTENT_AT + 32;

const RC6: IrProtocol = {
  carrierHz: 36_000,
  addressBits: 8,
  commandBits: 8,
  encode({ address, command }) {
    const levels = [...RC6_START, ...RC6_TOGGLE, ...bitLevels((address << 8) | command, 16, true)];
    return encodeLevels(levels, RC6_UNIT_US, 106_667);
  },
  decode(timings) {
    const found = decodeLevels(timings, RC6_UNIT_US, RC6_LEVELS);
    if (!found) return undefined;
    const levels = [...found.value];
    if (levels.length === RC6_LEVELS - 1) levels.push(false);
    const isStart = levels.length === RC6_LEVELS && RC6_START.every((level, at) => levels[at] === level);
    const [a, b, c, d] = levels.slice(RC6_START.length);
    if (!isStart || a !== b || c !== d || a === c) return undefined;
    const content = bitsOf(levels.slice(RC6_CONTENT_AT), true);
    return content === undefined ? undefined : { value: { address: content >> 8, command: content & 0xff }, error: found.error };
  },
};

/** By the names that Flipper files have. The stricter of two that look alike comes first. */
const PROTOCOLS = {
  NEC: pulses(NEC_FRAME, complemented(8, 8), { carrierHz: 38_000, addressBits: 8, commandBits: 8 }),
  NECext: pulses(NEC_FRAME, plain(0, 16, 16, 16), { carrierHz: 38_000, addressBits: 16, commandBits: 16 }),
  NEC42: pulses({ ...NEC_FRAME, bits: 42 }, complemented(13, 8), { carrierHz: 38_000, addressBits: 13, commandBits: 8 }),
  NEC42ext: pulses({ ...NEC_FRAME, bits: 42 }, plain(0, 26, 26, 16), { carrierHz: 38_000, addressBits: 26, commandBits: 16 }),
  Samsung32: pulses({ header: [4_500, 4_500], zero: [550, 550], one: [550, 1_650], bits: 32, stopUs: 550, periodUs: 108_000 }, SAMSUNG, {
    carrierHz: 38_000,
    addressBits: 8,
    commandBits: 8,
  }),
  RC5: rc5(1),
  RC5X: rc5(0),
  RC6,
  SIRC: sirc(5),
  SIRC15: sirc(8),
  SIRC20: sirc(13),
  Kaseikyo: pulses({ header: [3_456, 1_728], zero: [432, 432], one: [432, 1_296], bits: 48, stopUs: 432, periodUs: 130_000 }, KASEIKYO, {
    carrierHz: 37_000,
    addressBits: 26,
    commandBits: 10,
  }),
  RCA: pulses({ header: [4_000, 4_000], zero: [500, 1_000], one: [500, 2_000], bits: 24, stopUs: 500, periodUs: 64_000 }, RCA, {
    carrierHz: 38_000,
    addressBits: 4,
    commandBits: 8,
  }),
  Pioneer: pulses(
    { header: [8_500, 4_225], zero: [500, 500], one: [500, 1_500], bits: 32, stopUs: 500, periodUs: 82_000 },
    complemented(8, 8),
    {
      carrierHz: 40_000,
      addressBits: 8,
      commandBits: 8,
      repeat: 1,
    },
  ),
  JVC: pulses({ header: [8_400, 4_200], zero: [525, 525], one: [525, 1_575], bits: 16, stopUs: 525, periodUs: 60_000 }, plain(0, 8, 8, 8), {
    carrierHz: 38_000,
    addressBits: 8,
    commandBits: 8,
  }),
} satisfies Record<string, IrProtocol>;
export type IrProtocolName = keyof typeof PROTOCOLS;
export const IR_PROTOCOLS = Object.keys(PROTOCOLS) as IrProtocolName[];

/** The largest of any protocol. */
export const MOST_ADDRESS = 2 ** 26 - 1;
export const MOST_COMMAND = 2 ** 16 - 1;

/** `most` are the largest address and command. */
export function findProtocol(name: string): { readonly name: IrProtocolName; readonly most: Content } | undefined {
  if (!Object.hasOwn(PROTOCOLS, name)) return undefined;
  const { addressBits, commandBits } = PROTOCOLS[name as IrProtocolName];
  return { name: name as IrProtocolName, most: { address: 2 ** addressBits - 1, command: 2 ** commandBits - 1 } };
}

/** One frame. Throws `validation_error` at `/protocol`, `/address` or `/command`. */
export function encodeMessage({ protocol, address, command }: IrMessage): IrSignal {
  const found = findProtocol(protocol);
  if (!found) throw fault("/protocol", `has to be one of ${IR_PROTOCOLS.join(", ")}`);
  for (const [name, value] of Object.entries({ address, command }))
    if (!Number.isInteger(value) || value < 0 || value > found.most[name as keyof Content])
      throw fault(`/${name}`, `of ${protocol} is an integer from 0 to ${found.most[name as keyof Content]}`);
  const codec: IrProtocol = PROTOCOLS[found.name];
  return { carrierHz: codec.carrierHz, timings: codec.encode({ address, command }), repeatFrom: 0, repeat: codec.repeat ?? 0 };
}

/** What the first frame says by the protocol that it fits best; undefined when it fits none. */
export function decodeTimings(timings: readonly number[]): IrMessage | undefined {
  let best: { readonly message: IrMessage; readonly error: number } | undefined;
  for (const protocol of IR_PROTOCOLS) {
    const found = PROTOCOLS[protocol].decode(timings);
    if (found && (best === undefined || found.error < best.error)) best = { message: { protocol, ...found.value }, error: found.error };
  }
  return best?.message;
}
