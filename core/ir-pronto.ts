import { fault, within } from "./definition.ts";
import { encodeMessage } from "./ir-protocols.ts";
import { checkSignal, IR_LIMITS, type IrMessage, type IrSignal } from "./ir-signal.ts";

/** Word 1 counts periods of the Pronto's own clock: a carrier's period in microseconds is this many times the word. */
const CLOCK_US = 0.241246;
const RAW = 0x0000;
const UNMODULATED = 0x0100;
const RC5 = 0x5000;
const RC6 = 0x6000;
const HEADER_WORDS = 4;
const LONGEST_WORD = 0xffff;
const MOST_WORDS = HEADER_WORDS + IR_LIMITS.maxTimings;
/** Of the carriers that can be sent. */
const FIRST_CLOCK = Math.ceil(1e6 / (IR_LIMITS.maxCarrierHz * CLOCK_US));
const LAST_CLOCK = Math.floor(1e6 / (IR_LIMITS.minCarrierHz * CLOCK_US));
/** The pause behind a signal that ends with a mark, since every mark has its space there. */
const LAST_SPACE_US = 10_000;

/**
 * Learned codes (0000, and 0100, whose carrier is only a unit of time), and RC5 and RC6 by address and command (5000, 6000). Throws
 * `validation_error` at `/pronto`.
 */
export function parsePronto(text: string): { readonly signal: IrSignal; readonly message: IrMessage | null } {
  const words = wordsOf(text);
  const [format, clock = 0, onceCount = 0, repeatCount = 0, ...rest] = words;
  if (words.length < HEADER_WORDS + 2) throw refused(`has ${words.length} words, and 6 are the least`);
  if (format === RC5 || format === RC6) return predefined(format, onceCount + repeatCount, rest);
  if (format !== RAW && format !== UNMODULATED)
    throw refused(`is of the format ${hex(format ?? 0)}, and 0000, 0100, 5000 and 6000 are read`);
  if (clock === 0) throw refused("has no carrier in its second word");
  const expected = (onceCount + repeatCount) * 2;
  if (rest.length !== expected) throw refused(`announces ${expected} timings and has ${rest.length}`);
  const unitUs = clock * CLOCK_US;
  const timings = rest.map((count, index) => (index % 2 === 0 ? 1 : -1) * Math.max(1, Math.round(count * unitUs)));
  const nothing = rest.indexOf(0);
  if (nothing >= 0) throw refused(`has the length 0 as its word ${HEADER_WORDS + nothing + 1}`);
  const signal = { carrierHz: Math.round(1e6 / unitUs), timings, repeatFrom: onceCount * 2, repeat: 0 };
  checkSignal(signal, "/pronto");
  return { signal, message: null };
}

/** Address and command stand where the timings would. */
function predefined(format: number, pairs: number, [address = 0, command = 0, ...more]: readonly number[]) {
  if (pairs !== 1 || more.length > 0) throw refused("of this format has one pair of words, address and command");
  const message = messageOf(format, address, command);
  return { signal: within("/pronto", () => encodeMessage(message)), message };
}

/** The seventh bit of a command is there in the extended form only. */
function messageOf(format: number, address: number, command: number): IrMessage {
  if (format === RC6) return { protocol: "RC6", address, command };
  return command >= 64 && command < 128 ? { protocol: "RC5X", address, command: command - 64 } : { protocol: "RC5", address, command };
}

/** As 0000. Throws `validation_error` for a signal that Pronto cannot say. */
export function formatPronto({ carrierHz, timings, repeatFrom }: IrSignal): string {
  const clock = Math.min(LAST_CLOCK, Math.max(FIRST_CLOCK, Math.round(1e6 / (carrierHz * CLOCK_US))));
  const unitUs = clock * CLOCK_US;
  const pairs = timings.length % 2 === 0 ? timings : [...timings, -LAST_SPACE_US];
  const counts = pairs.map((timing) => Math.max(1, Math.round(Math.abs(timing) / unitUs)));
  const longest = counts.findIndex((count) => count > LONGEST_WORD);
  if (longest >= 0) throw refused(`cannot say timing ${longest + 1}, which is ${pairs[longest]} µs, at ${carrierHz} Hz`);
  const once = repeatFrom === timings.length ? counts.length / 2 : repeatFrom / 2;
  return [RAW, clock, once, counts.length / 2 - once, ...counts].map(hex).join(" ");
}

function wordsOf(text: string): number[] {
  const compact = text.replaceAll(/\s+/g, "");
  if (!/^[0-9a-f]+$/i.test(compact) || compact.length % 4 !== 0) throw refused("has to be hexadecimal words of four digits");
  if (compact.length / 4 > MOST_WORDS) throw refused(`has ${compact.length / 4} words, and ${MOST_WORDS} are the most`);
  return (compact.match(/.{4}/g) ?? []).map((word) => Number.parseInt(word, 16));
}

const hex = (word: number): string => word.toString(16).toUpperCase().padStart(4, "0");
const refused = (message: string) => fault("/pronto", message);
