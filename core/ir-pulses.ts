/** A bit is told by the length of its mark or of its space; lengths are in microseconds. */
export interface PulseFrame {
  readonly header: PulsePair;
  readonly zero: PulsePair;
  readonly one: PulsePair;
  readonly bits: number;
  /** A mark that ends the last bit's space; without it that space is part of the pause. */
  readonly stopUs: number | undefined;
  /** From the beginning of a frame to that of the next. */
  readonly periodUs: number;
}
type PulsePair = readonly [mark: number, space: number];

/** What a frame says, and how far its timings are off on average, 0 for not at all. */
export interface Decoded<T> {
  readonly value: T;
  readonly error: number;
}

/** Shorter ones stand inside of frames. */
const LEAST_PAUSE_US = 4_000;
/** Behind a frame that fills its period: more than a receiver may shorten it to. */
const LEAST_SENT_PAUSE_US = 6_000;

/** The frame with the pause behind it; the lowest bit comes first. */
export function encodePulses(frame: PulseFrame, value: bigint): number[] {
  const { header, zero, one, bits, stopUs, periodUs } = frame;
  const lengths = [...header];
  for (let bit = 0; bit < bits; bit++) lengths.push(...((value >> BigInt(bit)) & 1n ? one : zero));
  if (stopUs === undefined) lengths.pop();
  else lengths.push(stopUs);
  return withPause(
    lengths.map((length, index) => (index % 2 === 0 ? length : -length)),
    periodUs,
  );
}

/** The timings, which end with a mark, and a pause that fills the period. */
export function withPause(timings: readonly number[], periodUs: number): number[] {
  const sum = timings.reduce((total, timing) => total + Math.abs(timing), 0);
  return [...timings, -Math.max(LEAST_SENT_PAUSE_US, periodUs - sum)];
}

/** The first frame; undefined where the timings are none. What comes after its pause is not looked at. */
export function decodePulses(frame: PulseFrame, timings: readonly number[]): Decoded<bigint> | undefined {
  const { header, zero, one, bits, stopUs } = frame;
  const marks = bits + (stopUs === undefined ? 1 : 2);
  if (timings.length < marks * 2 - 1 || !isPause(timings[marks * 2 - 1])) return undefined;
  const errors = [pairError(timings, 0, header)];
  let value = 0n;
  for (let bit = 0; bit < bits; bit++) {
    const at = 2 + bit * 2;
    const isLast = stopUs === undefined && bit === bits - 1;
    const [asOne, asZero] = [one, zero].map((pair) => (isLast ? lengthError(timings[at], pair[0]) : pairError(timings, at, pair)));
    if (asOne !== undefined) value |= 1n << BigInt(bit);
    errors.push(asOne ?? asZero);
  }
  if (stopUs !== undefined) errors.push(lengthError(timings[marks * 2 - 2], stopUs));
  const error = meanOf(errors);
  return error === undefined ? undefined : { value, error };
}

/** Also the end of what was received. */
export const isPause = (timing: number | undefined): boolean => timing === undefined || timing <= -LEAST_PAUSE_US;

/** Of both together, which stays as it is where a mark is stretched at the cost of its space. */
function pairError(timings: readonly number[], at: number, [mark, space]: PulsePair): number | undefined {
  const [markUs = 0, spaceUs = 0] = [timings[at], timings[at + 1]];
  if (lengthError(markUs, mark) === undefined || lengthError(spaceUs, space) === undefined) return undefined;
  return Math.abs(markUs - spaceUs - mark - space) / (mark + space);
}

/** Receivers stretch marks, and shorten spaces, by up to 100 µs; remotes without a quartz are off by many percent. */
function lengthError(timing: number | undefined, wanted: number): number | undefined {
  if (timing === undefined) return undefined;
  const off = Math.abs(Math.abs(timing) - wanted);
  return off <= Math.max(100, wanted * 0.3) ? off / wanted : undefined;
}

/** undefined when one of them is. */
function meanOf(errors: readonly (number | undefined)[]): number | undefined {
  return errors.reduce((sum, error) => (sum === undefined || error === undefined ? undefined : sum + error / errors.length), 0);
}
