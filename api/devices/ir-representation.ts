import Type, { type Static } from "typebox";
import { MAX_IR_NAME } from "../../core/ir-names.ts";
import { decodeTimings } from "../../core/ir-protocols.ts";
import { IR_LIMITS, type IrMessage, MOST_REPEATS } from "../../core/ir-signal.ts";
import { versionOf } from "../../core/version.ts";
import type { DeviceIrCode } from "../../store/ir-codes.ts";
import { DeviceReference, line, Uuid } from "../fields.ts";
import type { Answer, AuditNote } from "../route.ts";

export const IrCodeParams = Type.Object({ id: DeviceReference, code: Uuid }, { additionalProperties: false });
export const IrName = line(MAX_IR_NAME);
export const Repeat = Type.Integer({
  minimum: 0,
  maximum: MOST_REPEATS,
  description: "How often what is repeated while a button is held is sent again",
});
const { minTimings: minItems, maxTimings: maxItems, maxTimingUs, minCarrierHz, maxCarrierHz } = IR_LIMITS;
export const Timings = Type.Array(Type.Integer({ minimum: -maxTimingUs, maximum: maxTimingUs }), {
  minItems,
  maxItems,
  description: "Microseconds in turns: marks positive, spaces negative, a mark first",
});
export const CarrierHz = Type.Integer({ minimum: minCarrierHz, maximum: maxCarrierHz });

const Message = (description: string) =>
  Type.Unsafe<IrMessage | null>({
    type: ["object", "null"],
    properties: { protocol: { type: "string" }, address: { type: "integer" }, command: { type: "integer" } },
    description,
  });

export const IrCodeSummary = Type.Object(
  {
    id: Type.String(),
    device_id: Type.String(),
    name: Type.String(),
    source: Type.Enum(["written", "imported", "learned"]),
    carrier_hz: Type.Integer(),
    timings_count: Type.Integer(),
    repeat: Type.Integer(),
    written_as: Message("By protocol, where it was made so"),
    created_at: Type.String(),
    updated_at: Type.String(),
  },
  { title: "IrCodeSummary" },
);
const IrCodeView = Type.Object(
  {
    ...IrCodeSummary.properties,
    repeat_from: Type.Integer({ description: "Which timing is the first that is repeated while a button is held, from 0" }),
    recognised: Message("What the timings say by the protocol that fits them best; null for none that the hub knows"),
    timings: Type.Optional(Timings),
    pronto: Type.Optional(Type.String({ description: "Pronto hex" })),
    flipper: Type.Optional(Type.String({ description: "As a Flipper file" })),
  },
  { title: "IrCode" },
);
export const OneIrCode = Type.Object({ ir_code: IrCodeView }, { title: "OneIrCode" });

export function summaryJson(code: DeviceIrCode): Static<typeof IrCodeSummary> {
  return {
    id: code.id,
    device_id: code.deviceId,
    name: code.name,
    source: code.source,
    carrier_hz: code.signal.carrierHz,
    timings_count: code.signal.timings.length,
    repeat: code.signal.repeat,
    written_as: code.message,
    created_at: code.createdAt,
    updated_at: code.updatedAt,
  };
}

/** `body` is the form in which the signal is told. */
export function answerOf(code: DeviceIrCode, status: number, body: object = { timings: code.signal.timings }): Answer {
  const recognised = code.message ?? decodeTimings(code.signal.timings) ?? null;
  return {
    status,
    version: irCodeVersion(code),
    body: { ir_code: { ...summaryJson(code), repeat_from: code.signal.repeatFrom, recognised, ...body } },
  };
}

/** Its signal never changes. */
export const irCodeVersion = ({ id, version }: DeviceIrCode): string => versionOf([id, version]);

export function note(code: DeviceIrCode, action: string, details: Record<string, unknown>): AuditNote {
  return { organizationId: code.organizationId, action, resourceType: "ir_code", resourceId: code.id, details };
}
