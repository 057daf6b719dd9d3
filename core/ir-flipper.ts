import { lineFault } from "./line-fault.ts";
import { encodeMessage, findProtocol } from "./ir-protocols.ts";
import { carrierFault, type IrCode, type IrMessage, type IrSignal, signedTimings, timingsFault } from "./ir-signal.ts";
import { checkCount, nameAt } from "./ir-names.ts";

/*
 * Flipper's files of infrared signals, version 1: lines of `key: value`; `#` begins a line of comment, `name` an entry. An entry is
 * `parsed`, by protocol, address and command, or `raw`, as lengths in microseconds.
 */

const TYPES = ["IR signals file", "IR library file"];
const KEYS = ["name", "type", "protocol", "address", "command", "frequency", "duty_cycle", "data"] as const;
type Key = (typeof KEYS)[number];
const PARSED: readonly Key[] = ["protocol", "address", "command"];
const RAW: readonly Key[] = ["frequency", "duty_cycle", "data"];
/** What these files have without more being known. */
const DUTY_CYCLE = "0.330000";
const UNKNOWN_TO_FLIPPER: readonly string[] = ["JVC"];

interface Value {
  readonly line: number;
  readonly text: string;
}
type Entry = ReadonlyMap<Key, Value>;

/** Whether it says of itself that it is one. */
export const isFlipperFile = (text: string): boolean => /^[\s\uFEFF]*(?:#[^\n]*\s+)*Filetype:/.test(text.slice(0, 4_096));

/** All of its codes, in their order. Throws `validation_error` with the line. */
export function parseFlipper(text: string): IrCode[] {
  const lines = valuesOf(text);
  expectLine(lines.next().value, "Filetype", TYPES);
  expectLine(lines.next().value, "Version", ["1"]);
  const codes: IrCode[] = [];
  let entry = new Map<Key, Value>();
  const finish = (): void => {
    if (entry.size > 0) codes.push(codeOf(entry));
    entry = new Map();
  };
  for (const { key, line, text: value } of lines) {
    if (!isKey(key)) throw lineFault(line, `${key} is not known; there are ${KEYS.join(", ")}`);
    if (key === "name") {
      finish();
      checkCount(line, codes.length + 1);
    } else if (entry.size === 0) throw lineFault(line, `${key} stands before the name of its signal`);
    if (entry.has(key)) throw lineFault(line, `${key} stands here for the second time`);
    entry.set(key, { line, text: value });
  }
  finish();
  return codes;
}

interface KeyedLine extends Value {
  readonly key: string;
}

/** Without comments and empty lines. Holds one line at a time. */
function* valuesOf(text: string): Generator<KeyedLine, undefined> {
  let line = 0;
  let from = text.startsWith("\uFEFF") ? 1 : 0;
  while (from <= text.length) {
    const end = text.indexOf("\n", from);
    const content = text.slice(from, end < 0 ? text.length : end).trim();
    from = end < 0 ? text.length + 1 : end + 1;
    line++;
    if (content === "" || content.startsWith("#")) continue;
    const colon = content.indexOf(":");
    if (colon < 1) throw lineFault(line, "has to be a key and its value, with a colon in between, or a comment");
    yield { line, key: content.slice(0, colon).slice(0, 40), text: content.slice(colon + 1).trim() };
  }
  return undefined;
}

function expectLine(found: KeyedLine | undefined, key: string, values: readonly string[]): void {
  const wanted = values.map((value) => `"${key}: ${value}"`).join(" or ");
  if (found === undefined) throw lineFault(1, `the file ends before its ${wanted}`);
  if (found.key !== key || !values.includes(found.text)) throw lineFault(found.line, `has to be ${wanted}`);
}

const isKey = (key: string): key is Key => (KEYS as readonly string[]).includes(key);

function codeOf(entry: Entry): IrCode {
  const name = entry.get("name") as Value;
  const type = valueOf(entry, "type");
  if (type.text !== "parsed" && type.text !== "raw") throw lineFault(type.line, "type has to be parsed or raw");
  const others = type.text === "parsed" ? RAW : PARSED;
  for (const key of others) {
    const misplaced = entry.get(key);
    if (misplaced) throw lineFault(misplaced.line, `${key} is not for a signal that is ${type.text}`);
  }
  const about = { name: nameAt(name.line, name.text) };
  if (type.text === "raw") return { ...about, signal: rawSignal(entry), message: null };
  const message = messageOf(entry);
  return { ...about, signal: encodeMessage(message), message };
}

function valueOf(entry: Entry, key: Key): Value {
  const value = entry.get(key);
  if (!value) throw lineFault((entry.get("name") as Value).line, `the signal has no ${key}`);
  return value;
}

function messageOf(entry: Entry): IrMessage {
  const protocol = valueOf(entry, "protocol");
  const found = findProtocol(protocol.text);
  if (!found) throw lineFault(protocol.line, `the protocol ${protocol.text.slice(0, 40)} is not known`);
  const number = (key: "address" | "command"): number => {
    const { line, text } = valueOf(entry, key);
    if (!/^[0-9A-Fa-f]{2}( [0-9A-Fa-f]{2}){3}$/.test(text)) throw lineFault(line, `${key} has to be four bytes in hexadecimal`);
    const value = Buffer.from(text.replaceAll(" ", ""), "hex").readUInt32LE();
    if (value > found.most[key]) throw lineFault(line, `${key} ${text} is more than ${found.name} has room for`);
    return value;
  };
  return { protocol: found.name, address: number("address"), command: number("command") };
}

function rawSignal(entry: Entry): IrSignal {
  const frequency = valueOf(entry, "frequency");
  const carrierHz = /^\d{1,7}$/.test(frequency.text) ? Number(frequency.text) : Number.NaN;
  const carrier = carrierFault(carrierHz);
  if (carrier !== undefined) throw lineFault(frequency.line, `frequency ${carrier}`);
  const duty = entry.get("duty_cycle");
  if (duty && !isDutyCycle(duty.text)) throw lineFault(duty.line, "duty_cycle has to be a number above 0 and at most 1");
  const data = valueOf(entry, "data");
  return { carrierHz, timings: timingsOf(data), repeatFrom: 0, repeat: 0 };
}

const isDutyCycle = (text: string): boolean => /^\d(\.\d{1,9})?$/.test(text) && Number(text) > 0 && Number(text) <= 1;

function timingsOf({ line, text }: Value): number[] {
  const words = text.split(/\s+/);
  const wrong = words.findIndex((word) => !/^\d{1,10}$/.test(word));
  if (wrong >= 0) throw lineFault(line, `data has as its timing ${wrong + 1} what is no length in µs: ${words[wrong]?.slice(0, 20)}`);
  const timings = signedTimings(words.map(Number));
  const found = timingsFault(timings);
  if (found) throw lineFault(line, `data ${found.message}`);
  return timings;
}

export const FLIPPER_HEAD = "Filetype: IR signals file\nVersion: 1\n";

/** A file of signals. What was written by a protocol that Flipper knows is `parsed`; every timing of the others is there. */
export const formatFlipper = (codes: readonly IrCode[]): string => FLIPPER_HEAD + formatFlipperEntries(codes);

/** What follows the head, or other entries. */
export function formatFlipperEntries(codes: readonly IrCode[]): string {
  return codes.map(({ name, message, signal }) => `#\nname: ${name}\n${isParsed(message) ? parsed(message) : raw(signal)}\n`).join("");
}

const isParsed = (message: IrMessage | null): message is IrMessage => message !== null && !UNKNOWN_TO_FLIPPER.includes(message.protocol);

const parsed = ({ protocol, address, command }: IrMessage): string =>
  `type: parsed\nprotocol: ${protocol}\naddress: ${bytesOf(address)}\ncommand: ${bytesOf(command)}`;

const raw = ({ carrierHz, timings }: IrSignal): string =>
  `type: raw\nfrequency: ${carrierHz}\nduty_cycle: ${DUTY_CYCLE}\ndata: ${timings.map(Math.abs).join(" ")}`;

function bytesOf(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return (bytes.toString("hex").toUpperCase().match(/../g) ?? []).join(" ");
}
