import assert from "node:assert/strict";
import fc from "fast-check";
import { HubError } from "../../core/errors.ts";
import { findProtocol, IR_PROTOCOLS } from "../../core/ir-protocols.ts";
import { type IrCode, type IrMessage, type IrSignal, signedTimings } from "../../core/ir-signal.ts";

export const anyMessage: fc.Arbitrary<IrMessage> = fc.constantFrom(...IR_PROTOCOLS).chain((protocol) => {
  const most = findProtocol(protocol)?.most ?? assert.fail();
  const upTo = (max: number) => fc.integer({ min: 0, max });
  return fc.record(
    { protocol: fc.constant(protocol), address: upTo(most.address), command: upTo(most.command) },
    { noNullPrototype: true },
  );
});

export const anyTimings: fc.Arbitrary<number[]> = fc
  .array(fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 1_000_000 })), { minLength: 2, maxLength: 200 })
  .map(signedTimings);

export const anyCarrier = fc.integer({ min: 10_000, max: 100_000 });
export const anyName = fc.stringMatching(/^[!-~äß]([ -~äß]{0,60}[!-~äß])?$/);

/** The whole of them is repeated. */
export const rawSignal = (timings: readonly number[], carrierHz = 38_000): IrSignal => ({ carrierHz, timings, repeatFrom: 0, repeat: 0 });

export const anyRawCode: fc.Arbitrary<IrCode> = fc
  .record({ name: anyName, timings: anyTimings, carrierHz: anyCarrier })
  .map(({ name, timings, carrierHz }) => ({ name, signal: rawSignal(timings, carrierHz), message: null }));

/** The places of what is refused, with what is wrong there. */
export function refusalOf(work: () => unknown): [path: string, message: string] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof HubError && error.code === "validation_error", String(error));
    const [detail, ...more] = error.details as { path: string; message: string }[];
    assert.ok(detail && more.length === 0);
    return [detail.path, detail.message];
  }
  return assert.fail("it was accepted");
}
