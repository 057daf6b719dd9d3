import { type Decoded, isPause, withPause } from "./ir-pulses.ts";

/** Levels of equal length, true for a mark. A bit is two of them that differ. */
type Levels = readonly boolean[];

/** So far may a length be off, in units: receivers stretch marks by up to 100 µs. */
const TOLERANCE = 0.4;
const LONGEST_UNITS = 6;

/** Begins with the first mark, and ends with the pause. */
export function encodeLevels(levels: Levels, unitUs: number, periodUs: number): number[] {
  const timings: number[] = [];
  for (const level of levels.slice(levels.indexOf(true), levels.lastIndexOf(true) + 1)) {
    const step = level ? unitUs : -unitUs;
    const last = timings.at(-1);
    if (last !== undefined && last > 0 === level) timings[timings.length - 1] = last + step;
    else timings.push(step);
  }
  return withPause(timings, periodUs);
}

/** The first frame up to its pause, at most `most` levels; undefined where the timings are no multiples of the unit. */
export function decodeLevels(timings: readonly number[], unitUs: number, most: number): Decoded<boolean[]> | undefined {
  const value: boolean[] = [];
  let sum = 0;
  let count = 0;
  for (const timing of timings) {
    if (isPause(timing)) break;
    const units = Math.round(Math.abs(timing) / unitUs);
    const off = Math.abs(Math.abs(timing) / unitUs - units);
    if (units < 1 || units > LONGEST_UNITS || off > TOLERANCE || value.length + units > most) return undefined;
    for (let unit = 0; unit < units; unit++) value.push(timing > 0);
    sum += off / units;
    count++;
  }
  return count === 0 ? undefined : { value, error: sum / count };
}

/** The second level of each bit says what it is where `first` is what a 1 begins with. Highest bit first. */
export function bitLevels(value: number, bits: number, first: boolean): boolean[] {
  return Array.from({ length: bits }, (_, index) => ((value >> (bits - 1 - index)) & 1) === 1).flatMap((bit) =>
    bit ? [first, !first] : [!first, first],
  );
}

/** undefined where two levels are no bit. */
export function bitsOf(levels: Levels, first: boolean): number | undefined {
  let value = 0;
  for (let at = 0; at < levels.length; at += 2) {
    if (levels[at] === levels[at + 1]) return undefined;
    value = value * 2 + (levels[at] === first ? 1 : 0);
  }
  return value;
}
