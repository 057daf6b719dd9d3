import { fault } from "./definition.ts";
import { atLine, lineFault } from "./line-fault.ts";
import { parseLinedJson, type LinedValue } from "./lined-json.ts";
import { parseBroadlinkBase64, parseBroadlinkHex } from "./ir-broadlink.ts";
import { checkCount, nameAt } from "./ir-names.ts";
import { parsePronto } from "./ir-pronto.ts";
import { checkSignal, type IrCode, signedTimings, USUAL_CARRIER_HZ } from "./ir-signal.ts";

/*
 * SmartIR's files: one JSON object whose `commands` are codes by name, nested by mode, fan, swing and temperature. How a code is
 * written stands in `commandsEncoding`.
 */

/** An object, its commands, and more levels than any of these files has. */
const MAX_DEPTH = 10;
const SEPARATOR = "/";
const ENCODINGS: Readonly<Record<string, (value: LinedValue) => Omit<IrCode, "name">>> = {
  Base64: (value) => ({ signal: parseBroadlinkBase64(textOf(value)), message: null }),
  Hex: (value) => ({ signal: parseBroadlinkHex(textOf(value)), message: null }),
  Pronto: (value) => parsePronto(textOf(value)),
  Raw: rawCode,
};

/** All of its codes, in their order; `cool/auto/22` is a name. Throws `validation_error` with the line. */
export function parseSmartIr(text: string): IrCode[] {
  const root = parseLinedJson(text, { maxDepth: MAX_DEPTH });
  if (!(root.value instanceof Map)) throw lineFault(root.line, "a SmartIR file is a JSON object");
  const encoding = memberOf(root, "commandsEncoding");
  const read = typeof encoding.value === "string" && Object.hasOwn(ENCODINGS, encoding.value) ? ENCODINGS[encoding.value] : undefined;
  if (!read) throw lineFault(encoding.line, `commandsEncoding has to be one of ${Object.keys(ENCODINGS).join(", ")}`);
  const commands = memberOf(root, "commands");
  if (!(commands.value instanceof Map)) throw lineFault(commands.line, "commands has to be an object");
  const codes: IrCode[] = [];
  for (const { path, value } of leavesOf(commands, [])) {
    checkCount(value.line, codes.length + 1);
    codes.push({ name: nameAt(value.line, path.join(SEPARATOR)), ...atLine(value.line, () => read(value)) });
  }
  return codes;
}

function memberOf({ line, value }: LinedValue, name: string): LinedValue {
  const member = value instanceof Map ? (value.get(name) as LinedValue | undefined) : undefined;
  if (!member) throw lineFault(line, `the object has no ${name}`);
  return member;
}

interface Leaf {
  readonly path: readonly string[];
  readonly value: LinedValue;
}

/** A list of texts is several codes, which are numbered; one of numbers is a code. What is empty was left out by whoever wrote it. */
function* leavesOf(node: LinedValue, path: readonly string[]): Generator<Leaf> {
  const { value } = node;
  if (value instanceof Map) for (const [name, member] of value as ReadonlyMap<string, LinedValue>) yield* leavesOf(member, [...path, name]);
  else if (Array.isArray(value) && !isNumbers(value))
    for (const [index, item] of (value as readonly LinedValue[]).entries()) yield* leavesOf(item, [...path, String(index + 1)]);
  else if (value !== "" && value !== null) yield { path, value: node };
}

const isNumbers = (items: readonly LinedValue[]): boolean => items.length > 0 && items.every(({ value }) => typeof value === "number");

function textOf({ value }: LinedValue): string {
  if (typeof value !== "string") throw fault("/code", "has to be a text");
  return value;
}

/** Numbers, or a text of numbers: with signs, or marks and spaces in turns. */
function rawCode({ value }: LinedValue): Omit<IrCode, "name"> {
  const numbers =
    typeof value === "string"
      ? numbersIn(value)
      : Array.isArray(value)
        ? (value as readonly LinedValue[]).map(({ value: one }) => one as number)
        : [];
  if (numbers.some(Number.isNaN)) throw fault("/code", "has to be a list of lengths in µs; others call raw what they have packed");
  const timings = numbers.every((one) => one > 0) ? signedTimings(numbers) : numbers;
  const signal = { carrierHz: USUAL_CARRIER_HZ, timings, repeatFrom: 0, repeat: 0 };
  checkSignal(signal, "/code");
  return { signal, message: null };
}

/** Not a number where there is something else. */
const numbersIn = (text: string): number[] =>
  text
    .replaceAll(/^\s*\[|\]\s*$/g, "")
    .split(/[\s,]+/)
    .filter((word) => word !== "")
    .map((word) => (/^[+-]?\d{1,9}$/.test(word) ? Number(word) : Number.NaN));
