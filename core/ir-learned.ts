import { MAX_IR_NAME } from "./ir-names.ts";
import { type IrCode, timingsFault, USUAL_CARRIER_HZ } from "./ir-signal.ts";
import type { IrLearned } from "./payloads.ts";

/** The code that a device has learned, with the time as its name where it has none; undefined for what cannot be sent again. */
export function learnedCode({ timings, carrier_hz: carrierHz = USUAL_CARRIER_HZ, name = "" }: IrLearned, now: number): IrCode | undefined {
  if (timingsFault(timings)) return undefined;
  const given = name
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, " ")
    .trim()
    .slice(0, MAX_IR_NAME);
  return {
    name: given === "" ? `Learned ${new Date(now).toISOString()}` : given,
    signal: { timings, carrierHz, repeatFrom: 0, repeat: 0 },
    message: null,
  };
}
