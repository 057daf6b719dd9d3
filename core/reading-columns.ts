import type { SensorValue } from "./payloads.ts";

/** Readings of one series in the order of time: JSON lists that are equally long, as a database makes them. */
export interface ReadingColumns {
  readonly uid: string;
  readonly key: string;
  /** ms since 1970 */
  readonly ts: string;
  /** Numbers, null where the value is none; null when none is. */
  readonly numbers: string | null;
  /** Texts and booleans, each as a text of JSON, null where the value is a number; null when all are. */
  readonly others: string | null;
}

/** Of one series. */
export interface Readings {
  readonly uid: string;
  readonly key: string;
  /** ms since 1970 */
  readonly ts: readonly number[];
  readonly values: readonly SensorValue[];
}

export function readingsIn({ uid, key, ts, numbers, others }: ReadingColumns): Readings {
  const values = numbers === null ? [] : (JSON.parse(numbers) as (SensorValue | null)[]);
  if (others !== null)
    for (const [index, json] of (JSON.parse(others) as (string | null)[]).entries())
      if (json !== null) values[index] = JSON.parse(json) as SensorValue;
  return { uid, key, ts: JSON.parse(ts) as number[], values: values as SensorValue[] };
}
