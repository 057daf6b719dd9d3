import Type, { type Static } from "typebox";
import { DeviceUid, SensorKey } from "./condition.ts";
import { fault } from "./definition.ts";
import { SensorName } from "./device.ts";
import { EXPRESSION_LIMITS, type Expression, parseExpression, RESERVED_NAMES } from "./expression.ts";
import type { SensorValue } from "./payloads.ts";
import { parseMetadata, SensorMetadata } from "./sensor.ts";
import { platformOf } from "./sensor-classes.ts";
import { tidy } from "./units.ts";

const closed = { additionalProperties: false } as const;

export const InputSeries = Type.Object({ device: DeviceUid, key: SensorKey }, { ...closed, title: "VirtualSensorInput" });
export const DEFAULT_MAX_AGE_S = 3_600;

/** What people say of a virtual sensor, but for the sensor that it is. */
export const VIRTUAL_SENSOR_FIELDS = {
  ...SensorMetadata.properties,
  name: SensorName,
  expression: Type.String({
    minLength: 1,
    maxLength: EXPRESSION_LIMITS.chars,
    description: "Over the names of the inputs: docs/sensors.md",
  }),
  inputs: Type.Record(Type.String({ pattern: "^[a-z][a-z0-9_]{0,31}$" }), InputSeries, {
    minProperties: 1,
    maxProperties: 16,
    additionalProperties: false,
    description: "By the names that the expression has for them",
  }),
  max_age_s: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 604_800,
      default: DEFAULT_MAX_AGE_S,
      description: "An input that is older than the newest one by more than this is not known, and nothing is written",
    }),
  ),
};
const Fields = Type.Object(VIRTUAL_SENSOR_FIELDS, closed);
export type VirtualSensorFields = Static<typeof Fields>;
/** Without what it is made of, of which there is more to know. */
export type VirtualSensorText = Omit<VirtualSensorFields, "inputs">;

/** A series: what one device says by one key. */
export interface SeriesRef {
  readonly deviceId: string;
  readonly uid: string;
  readonly key: string;
}
/** A series as the expression names it. */
export interface VirtualInput extends SeriesRef {
  readonly name: string;
}

/** As messages name a series. */
export const seriesName = ({ uid, key }: Pick<SeriesRef, "uid" | "key">): string => `${uid}/${key}`;

/** A series in a map. */
export const seriesKey = ({ deviceId, key }: Pick<SeriesRef, "deviceId" | "key">): string => `${deviceId} ${key}`;

/** What is needed of a virtual sensor to work it out. */
export interface VirtualFormula {
  readonly target: SeriesRef;
  readonly inputs: readonly SeriesRef[];
  readonly expression: Expression;
  readonly maxAgeMs: number;
  /** It says true or false. */
  readonly isBinary: boolean;
}

/** Throws `validation_error`. */
export function checkVirtualSensor(fields: VirtualSensorFields): void {
  const names = Object.keys(fields.inputs);
  const reserved = names.find((name) => RESERVED_NAMES.has(name));
  if (reserved !== undefined) throw fault(`/inputs/${reserved}`, "is the name of a function or a word of expressions");
  parseExpression(fields.expression, names, "/expression");
  const { inputs: _inputs, ...text } = fields;
  parseMetadata(metadataOf(text));
}

/** What the sensor is. */
export function metadataOf(text: VirtualSensorText): SensorMetadata {
  const { expression: _expression, max_age_s: _age, ...said } = text;
  return said;
}

/** Of a text that {@link checkVirtualSensor} has found right. */
export function formulaOf(target: SeriesRef, inputs: readonly VirtualInput[], fields: VirtualSensorText): VirtualFormula {
  return {
    target,
    inputs,
    expression: parseExpression(
      fields.expression,
      inputs.map(({ name }) => name),
      "/expression",
    ),
    maxAgeMs: (fields.max_age_s ?? DEFAULT_MAX_AGE_S) * 1_000,
    isBinary: (fields.platform ?? platformOf(fields.device_class)) === "binary_sensor",
  };
}

export interface Known {
  /** ms since 1970 */
  readonly ts: number;
  readonly value: SensorValue;
}
/**
 * What the sensor says after these readings, each at the time of the newest input then. `known` is what was newest of each series before,
 * the sensor's own included; both are by {@link seriesKey}. A reading that is older than what is known changes nothing; of several results of one time the last holds.
 * Readings have one value a time for ever: what comes to another one at a time that has a value already, since its inputs came one after the
 * other, is a millisecond later.
 */
export function valuesAfter(
  formula: VirtualFormula,
  known: ReadonlyMap<string, Known>,
  fresh: ReadonlyMap<string, readonly Known[]>,
): Known[] {
  const series = formula.inputs.map(seriesKey);
  const state = series.map((one) => known.get(one));
  const results = new Map<number, SensorValue | undefined>();
  const readings = series.flatMap((one, input) => (fresh.get(one) ?? []).map((reading) => ({ input, reading })));
  for (const { input, reading } of readings.toSorted((a, b) => a.reading.ts - b.reading.ts)) {
    if (reading.ts <= (state[input]?.ts ?? Number.NEGATIVE_INFINITY)) continue;
    state[input] = reading;
    const at = Math.max(...state.map((one) => one?.ts ?? 0));
    results.set(at, valueOf(formula, state, at));
  }
  return inTurn([...results], known.get(seriesKey(formula.target)));
}

function valueOf(
  { expression, maxAgeMs, isBinary }: VirtualFormula,
  state: readonly (Known | undefined)[],
  at: number,
): SensorValue | undefined {
  const values: number[] = [];
  for (const one of state) {
    if (!one || typeof one.value === "string" || at - one.ts > maxAgeMs) return undefined;
    values.push(Number(one.value));
  }
  const result = expression(values);
  if (!Number.isFinite(result)) return undefined;
  return isBinary ? result !== 0 : tidy(result);
}

function inTurn(results: readonly (readonly [number, SensorValue | undefined])[], last: Known | undefined): Known[] {
  const said: Known[] = [];
  let before = last;
  for (const [at, value] of results) {
    if (value === undefined || (before && at <= before.ts && value === before.value)) continue;
    before = { ts: Math.max(at, (before?.ts ?? Number.NEGATIVE_INFINITY) + 1), value };
    said.push(before);
  }
  return said;
}

/** What feeds what: the series that a virtual sensor makes, and those that it is made of. */
export interface Feed {
  readonly target: SeriesRef;
  readonly inputs: readonly SeriesRef[];
}

/** A virtual sensor feeds itself over these series, from its own back to its own; undefined when none does by way of `added`. */
export function loopThrough(added: Feed, others: readonly Feed[]): string[] | undefined {
  const goal = seriesKey(added.target);
  const feeds = new Map([...others, added].map((one) => [seriesKey(one.target), one]));
  const seen = new Set<string>();
  // Backwards from the sensor to what it is made of.
  function wayFrom(feed: Feed): SeriesRef[] | undefined {
    for (const input of feed.inputs) {
      const name = seriesKey(input);
      if (name === goal) return [input];
      const below = feeds.get(name);
      if (!below || seen.has(name)) continue;
      seen.add(name);
      const way = wayFrom(below);
      if (way) return [...way, input];
    }
    return undefined;
  }
  const way = wayFrom(added);
  return way && [...way, added.target].map(seriesName);
}

/** The virtual sensors that one reading may set off, one after the other. */
export const MOST_FED = 20;

/** A series that feeds more than {@link MOST_FED} virtual sensors, over others too. */
export function overfed(feeds: readonly Feed[]): SeriesRef | undefined {
  const byInput = new Map<string, Feed[]>();
  for (const feed of feeds)
    for (const input of feed.inputs) byInput.set(seriesKey(input), [...(byInput.get(seriesKey(input)) ?? []), feed]);
  return feeds.flatMap(({ inputs }) => inputs).find((input) => fedBy([seriesKey(input)], byInput).size > MOST_FED);
}

/** Everything that these series set off. */
export function fedBy<F extends Feed>(series: Iterable<string>, byInput: ReadonlyMap<string, readonly F[]>): Set<F> {
  const found = new Set<F>();
  const open = [...series];
  for (let name = open.pop(); name !== undefined; name = open.pop())
    for (const feed of byInput.get(name) ?? [])
      if (!found.has(feed)) {
        found.add(feed);
        open.push(seriesKey(feed.target));
      }
  return found;
}

/** Each behind those that feed it. Without loops, which {@link loopThrough} refuses. */
export function inOrderOfFeeding<F extends Feed>(feeds: readonly F[]): F[] {
  const byTarget = new Map(feeds.map((feed) => [seriesKey(feed.target), feed]));
  const ordered = new Set<F>();
  const visit = (feed: F): void => {
    if (ordered.has(feed)) return;
    for (const input of feed.inputs) {
      const below = byTarget.get(seriesKey(input));
      if (below && below !== feed) visit(below);
    }
    ordered.add(feed);
  };
  for (const feed of feeds) visit(feed);
  return [...ordered];
}
