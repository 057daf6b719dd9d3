import { fault } from "./definition.ts";

/** What an emitter is told: as `ir_send` takes it. */
export const IR_LIMITS = { minTimings: 2, maxTimings: 2_048, maxTimingUs: 1_000_000, minCarrierHz: 10_000, maxCarrierHz: 100_000 } as const;
export const MOST_REPEATS = 20;
/** Where a format does not say which carrier it means, it is this one. */
export const USUAL_CARRIER_HZ = 38_000;

/** The form in which infrared is kept and sent, whatever it was written in. */
export interface IrSignal {
  readonly carrierHz: number;
  /** Microseconds, a mark positive and a space negative, in turns; the first is a mark. */
  readonly timings: readonly number[];
  /** Where the part begins that is sent again while a button is held: 0 for all of it, and the number of timings for none. */
  readonly repeatFrom: number;
  /** How often a short press sends that part again. */
  readonly repeat: number;
}

/** A signal with its name, as it comes out of a file. */
export interface IrCode {
  readonly name: string;
  readonly signal: IrSignal;
  /** What it was written as, if not as timings. */
  readonly message: IrMessage | null;
}

/** What a protocol carries. */
export interface IrMessage {
  readonly protocol: string;
  readonly address: number;
  readonly command: number;
}

/** What is wrong with the timings, and at which place if it is one of them; undefined when they can be sent. */
export function timingsFault(timings: readonly number[]): { readonly index: number | undefined; readonly message: string } | undefined {
  const { minTimings, maxTimings, maxTimingUs } = IR_LIMITS;
  if (timings.length < minTimings || timings.length > maxTimings)
    return { index: undefined, message: `has ${timings.length} timings, and ${minTimings} to ${maxTimings} can be sent` };
  const index = timings.findIndex((timing, at) => !isTiming(timing, at));
  if (index < 0) return undefined;
  const kind = index % 2 === 0 ? "a mark, which is positive," : "a space, which is negative,";
  return { index, message: `timing ${index + 1} is ${timings[index]}; there it takes ${kind} of at most ${maxTimingUs} µs` };
}

const isTiming = (timing: number, at: number): boolean => {
  const length = at % 2 === 0 ? timing : -timing;
  return Number.isInteger(length) && length > 0 && length <= IR_LIMITS.maxTimingUs;
};

/** What is wrong with a carrier; undefined for one that can be sent. */
export function carrierFault(carrierHz: number): string | undefined {
  const { minCarrierHz, maxCarrierHz } = IR_LIMITS;
  return carrierHz >= minCarrierHz && carrierHz <= maxCarrierHz ? undefined : `is no carrier of ${minCarrierHz} to ${maxCarrierHz} Hz`;
}

/** Throws `validation_error` for what cannot be sent; `path` is where it stands. */
export function checkSignal({ timings, carrierHz }: Pick<IrSignal, "timings" | "carrierHz">, path: string): void {
  const found = timingsFault(timings);
  if (found) throw fault(path, found.message);
  const carrier = carrierFault(carrierHz);
  if (carrier !== undefined) throw fault(path, carrier);
}

/** Lengths alone, marks and spaces in turns. */
export const signedTimings = (lengths: readonly number[]): number[] => lengths.map((length, index) => (index % 2 === 0 ? length : -length));

/**
 * What `ir_send` is given for one press that sends the repeated part `repeat` times more. Throws `validation_error` when that
 * is too much for one command.
 */
export function pressOf(signal: IrSignal, repeat = signal.repeat): { timings: number[]; carrier_hz: number; repeat?: number } {
  const { timings, repeatFrom, carrierHz: carrier_hz } = signal;
  if (repeatFrom === 0 || repeatFrom === timings.length) return { timings: [...timings], carrier_hz, ...(repeat === 0 ? {} : { repeat }) };
  const again = timings.slice(repeatFrom);
  const most = Math.floor((IR_LIMITS.maxTimings - repeatFrom) / again.length);
  if (repeat > most) throw fault("/repeat", `takes more than ${IR_LIMITS.maxTimings} timings: at most ${most} for this code`);
  return { timings: [...timings.slice(0, repeatFrom), ...Array.from({ length: repeat }, () => again).flat()], carrier_hz };
}
