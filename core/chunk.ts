/** What the readings of some stretch of time amount to. */
export interface Period {
  /** ms since 1970, of its start; of a reading that stands alone, its own. */
  readonly ts: number;
  readonly n: number;
  /** Numbers among them: without any, the lowest, the highest and the sum are null. */
  readonly v_n: number;
  readonly v_min: number | null;
  readonly v_max: number | null;
  readonly v_sum: number | null;
  /** A number, or null and its JSON. */
  readonly first_v: number | null;
  readonly first_json: string | null;
  readonly last_v: number | null;
  readonly last_json: string | null;
}

/** As {@link Period}, one array for each of its fields. Where there is no number it is 0: `v_n` and the text say so. */
export interface Columns {
  /** Behind it the arrays hold what was there before. */
  readonly count: number;
  readonly ts: number[];
  readonly n: number[];
  readonly v_n: number[];
  readonly v_min: number[];
  readonly v_max: number[];
  readonly v_sum: number[];
  readonly first_v: number[];
  readonly last_v: number[];
  /** 0 for a number, else which of the texts, counted from 1. */
  readonly first_text: number[];
  readonly last_text: number[];
  readonly texts: readonly (string | null)[];
}

const READINGS = 1;
const PERIODS = 2;
/** In the place of a number of decimals. */
const DOUBLES = 255;
const MOST_DECIMALS = 6;
/** The difference of two fits into 31 bits together with its sign. */
const SCALED_BELOW = 2 ** 29;

/**
 * The periods of one hour, in the order of time, in a few bytes each: whole numbers as differences, values as whole numbers where
 * few decimals are enough for all, what is no number once for all that are the same. `start` is the hour's, in ms since 1970.
 * A value of -0 comes back as 0.
 */
export function packChunk(periods: readonly Period[], start: number): Uint8Array {
  const bytes: number[] = [];
  const column = <Name extends keyof Period>(name: Name): Period[Name][] => periods.map((one) => one[name]);
  const isReadings = periods.every(({ n }) => n === 1);
  const ends = isReadings ? (["first"] as const) : (["first", "last"] as const);
  const texts = [...new Set(ends.flatMap((end) => periods.filter((one) => one[`${end}_v`] === null).map((one) => one[`${end}_json`])))];
  bytes.push(isReadings ? READINGS : PERIODS);
  putTexts(bytes, texts);
  putVarint(bytes, periods.length);
  putWhole(bytes, differences(column("ts").map((ts) => ts - start)));
  for (const end of ends) {
    putNumbers(bytes, column(`${end}_v`));
    if (texts.length === 0) continue;
    const numbered = new Map(texts.map((text, index) => [text, index + 1]));
    putWhole(
      bytes,
      periods.map((one) => (one[`${end}_v`] === null ? (numbered.get(one[`${end}_json`]) ?? 0) : 0)),
    );
  }
  if (!isReadings) {
    for (const name of ["n", "v_n"] as const) putWhole(bytes, column(name));
    for (const name of ["v_min", "v_max", "v_sum"] as const) putNumbers(bytes, column(name));
  }
  return Uint8Array.from(bytes);
}

/**
 * Reads chunks one after the other, into the same arrays: they are good until the next one is read. A chart is made of thousands, and
 * arrays of their own would be several megabytes for the collector.
 */
export function chunkReader(): (bytes: Uint8Array, start: number) => Columns {
  const column = (): number[] => [];
  const [ts, n, v_n] = [column(), column(), column()];
  const [v_min, v_max, v_sum] = [column(), column(), column()];
  const [first_v, first_text, last_v, last_text] = [column(), column(), column(), column()];
  return (bytes, start) => {
    const from: Reader = { bytes, at: 1 };
    const form = bytes[0];
    if (form !== READINGS && form !== PERIODS) throw new Error("a chunk of an unknown form");
    const texts = takeTexts(from);
    const count = takeVarint(from);
    const hasTexts = texts.length > 0;
    takeWhole(from, count, ts);
    add(ts, count, start);
    takeValues(from, count, { numbers: first_v, texts: first_text, hasTexts });
    if (form === READINGS) {
      const [v, text] = [first_v, first_text];
      for (let index = 0; index < count; index++) [n[index], v_n[index]] = [1, text[index] === 0 ? 1 : 0];
      return { count, ts, n, v_n, v_min: v, v_max: v, v_sum: v, first_v: v, last_v: v, first_text: text, last_text: text, texts };
    }
    takeValues(from, count, { numbers: last_v, texts: last_text, hasTexts });
    takeWhole(from, count, n);
    takeWhole(from, count, v_n);
    for (const numbers of [v_min, v_max, v_sum]) takeNumbers(from, count, numbers);
    return { count, ts, n, v_n, v_min, v_max, v_sum, first_v, last_v, first_text, last_text, texts };
  };
}

/** What {@link packChunk} was given. */
export function unpackChunk(bytes: Uint8Array, start: number): Period[] {
  const { count, ...columns } = chunkReader()(bytes, start);
  const picked = (end: "first" | "last", index: number): [number | null, string | null] => {
    const text = columns[`${end}_text`][index] as number;
    return text === 0 ? [columns[`${end}_v`][index] as number, null] : [null, columns.texts[text - 1] ?? null];
  };
  return Array.from({ length: count }, (_, index) => {
    const [[first_v, first_json], [last_v, last_json]] = [picked("first", index), picked("last", index)];
    const v_n = columns.v_n[index] as number;
    const of = (values: readonly number[]): number | null => (v_n === 0 ? null : (values[index] as number));
    const [v_min, v_max, v_sum] = [of(columns.v_min), of(columns.v_max), of(columns.v_sum)];
    const [ts, n] = [columns.ts[index] as number, columns.n[index] as number];
    return { ts, n, v_n, v_min, v_max, v_sum, first_v, first_json, last_v, last_json };
  });
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

/** Number by number, how much more than the one before. */
const differences = (values: readonly number[]): number[] => values.map((value, index) => value - (values[index - 1] ?? 0));

/** Undoes {@link differences}, in the same array. */
function add(values: number[], count: number, start: number): void {
  let sum = start;
  for (let index = 0; index < count; index++) values[index] = sum += values[index] as number;
}

/** As differences: of what comes again and again in like steps, give the steps. */
function putWhole(bytes: number[], values: readonly number[]): void {
  let before = 0;
  for (const value of values) {
    const more = value - before;
    putVarint(bytes, more < 0 ? -2 * more - 1 : 2 * more);
    before = value;
  }
}

function takeWhole(from: Reader, count: number, into: number[], divisor = 1): void {
  let value = 0;
  for (let index = 0; index < count; index++) {
    const code = takeVarint(from);
    value += code & 1 ? -(code + 1) / 2 : code / 2;
    into[index] = value / divisor;
  }
}

/** What is null is told elsewhere. */
function putNumbers(bytes: number[], given: readonly (number | null)[]): void {
  const values = given.map((value) => value ?? 0);
  for (let decimals = 0; decimals <= MOST_DECIMALS; decimals++) {
    const scaled = values.map((value) => Math.round(value * 10 ** decimals));
    if (!scaled.every((one, index) => Math.abs(one) < SCALED_BELOW && one / 10 ** decimals === values[index])) continue;
    bytes.push(decimals);
    putWhole(bytes, scaled);
    return;
  }
  const view = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((value, index) => view.setFloat64(8 * index, value, true));
  bytes.push(DOUBLES, ...new Uint8Array(view.buffer));
}

function takeNumbers(from: Reader, count: number, into: number[]): void {
  const decimals = from.bytes[from.at++] as number;
  if (decimals !== DOUBLES) return takeWhole(from, count, into, 10 ** decimals);
  const view = new DataView(from.bytes.buffer, from.bytes.byteOffset + from.at);
  for (let index = 0; index < count; index++) into[index] = view.getFloat64(8 * index, true);
  from.at += 8 * count;
}

interface Values {
  readonly numbers: number[];
  readonly texts: number[];
  readonly hasTexts: boolean;
}

function takeValues(from: Reader, count: number, { numbers, texts, hasTexts }: Values): void {
  takeNumbers(from, count, numbers);
  if (hasTexts) takeWhole(from, count, texts);
  else for (let index = 0; index < count; index++) texts[index] = 0;
}

function putTexts(bytes: number[], texts: readonly (string | null)[]): void {
  const encoded = texts.length === 0 ? [] : new TextEncoder().encode(JSON.stringify(texts));
  putVarint(bytes, encoded.length);
  for (const byte of encoded) bytes.push(byte);
}

function takeTexts(from: Reader): readonly (string | null)[] {
  const length = takeVarint(from);
  if (length === 0) return [];
  const text = new TextDecoder().decode(from.bytes.subarray(from.at, (from.at += length)));
  return JSON.parse(text) as (string | null)[];
}

/** Seven bits a byte, the lowest first; below 2 ** 31. */
function putVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
}

function takeVarint(from: Reader): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = from.bytes[from.at++] as number;
    value |= (byte & 127) << shift;
    if (byte < 128) return value;
  }
}
