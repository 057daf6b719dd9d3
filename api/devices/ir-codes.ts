import Type, { type Static } from "typebox";
import { parseBroadlinkBase64 } from "../../core/ir-broadlink.ts";
import { formatFlipper } from "../../core/ir-flipper.ts";
import { encodeMessage, IR_PROTOCOLS, MOST_ADDRESS, MOST_COMMAND } from "../../core/ir-protocols.ts";
import { formatPronto, parsePronto } from "../../core/ir-pronto.ts";
import { checkSignal, type IrCode, IR_LIMITS, USUAL_CARRIER_HZ } from "../../core/ir-signal.ts";
import { createIrCodes, deleteIrCode, type DeviceIrCode, getIrCode, listIrCodes, lockIrCode, renameIrCode } from "../../store/ir-codes.ts";
import { getDevice } from "../../store/devices.ts";
import { Cursor, DeviceParams, Limit, pageOf } from "../fields.ts";
import { Search } from "../places/fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor, ownerOf } from "./device-for.ts";
import {
  answerOf,
  CarrierHz,
  IrCodeParams,
  IrCodeSummary,
  irCodeVersion,
  IrName,
  note,
  OneIrCode,
  Repeat,
  summaryJson,
  Timings,
} from "./ir-representation.ts";

const TAG = "Infrared";
/** Words of four digits, and what may stand between them. */
const MAX_PRONTO_CHARS = (IR_LIMITS.maxTimings + 4) * 6;
const MAX_BROADLINK_CHARS = IR_LIMITS.maxTimings * 5;

const shared = { name: IrName, repeat: Type.Optional(Repeat) };
const closed = { additionalProperties: false } as const;
const REQUESTS = [
  Type.Object(
    { format: Type.Literal("timings"), ...shared, timings: Timings, carrier_hz: Type.Optional(CarrierHz) },
    { ...closed, title: "IrTimings" },
  ),
  Type.Object(
    {
      format: Type.Literal("protocol"),
      ...shared,
      protocol: Type.Enum(IR_PROTOCOLS),
      address: Type.Integer({ minimum: 0, maximum: MOST_ADDRESS }),
      command: Type.Integer({ minimum: 0, maximum: MOST_COMMAND }),
    },
    { ...closed, title: "IrByProtocol" },
  ),
  Type.Object(
    { format: Type.Literal("pronto"), ...shared, pronto: Type.String({ minLength: 1, maxLength: MAX_PRONTO_CHARS }) },
    { ...closed, title: "IrPronto" },
  ),
  Type.Object(
    { format: Type.Literal("broadlink"), ...shared, broadlink: Type.String({ minLength: 1, maxLength: MAX_BROADLINK_CHARS }) },
    { ...closed, title: "IrBroadlink" },
  ),
] as const;
type IrCodeRequest = Static<(typeof REQUESTS)[number]>;
const IrCodeRequest = Type.Unsafe<IrCodeRequest>({
  type: "object",
  title: "IrCodeRequest",
  discriminator: { propertyName: "format" },
  oneOf: [...REQUESTS],
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/ir-codes",
  tag: TAG,
  summary: "The infrared codes of a device",
  description: "In the order in which they were made, without their timings.",
  access: "device.read",
  params: DeviceParams,
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor, search: Search }, closed),
  replies: { 200: { description: "A page", schema: pageOf(IrCodeSummary, "IrCodePage") } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params, query: { limit = 50, cursor: after, search } }) {
    const { db } = context.store;
    const owner = ownerOf(await getDevice(db, scope, params.id));
    const page = await listIrCodes(db, owner, { limit, after, search });
    return { status: 200, body: { data: page.items.map(summaryJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/ir-codes",
  tag: TAG,
  summary: "Write an infrared code",
  description: "As timings, by a protocol's address and command, as Pronto hex, or as a Broadlink packet in Base64: docs/ir.md.",
  access: "device.manage",
  params: DeviceParams,
  body: IrCodeRequest,
  bodyExample: { format: "protocol", name: "Power", protocol: "NEC", address: 4, command: 8 },
  replies: { 201: { description: "Made", schema: OneIrCode } },
  errors: ["not_found", "device_not_claimed", "quota_exceeded"],
  handler: ({ context, rights, params, body, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const about = { source: "written", now: context.clock() } as const;
      const [made] = (await createIrCodes(db, ownerOf(device), [codeOf(body)], about)) as [DeviceIrCode];
      const details = { uid: device.uid, name: made.name, format: body.format };
      return { answer: answerOf(made, 201), audit: [{ ...note(made, "ir_code.create", details), after: summaryJson(made) }] };
    }),
});

/** Throws `validation_error`. */
function codeOf(request: IrCodeRequest): IrCode {
  const { signal, message } = signalOf(request);
  return { name: request.name, message, signal: { ...signal, repeat: request.repeat ?? signal.repeat } };
}

function signalOf(request: IrCodeRequest): Omit<IrCode, "name"> {
  switch (request.format) {
    case "timings": {
      const { timings, carrier_hz: carrierHz = USUAL_CARRIER_HZ } = request;
      checkSignal({ timings, carrierHz }, "/timings");
      return { signal: { timings, carrierHz, repeatFrom: 0, repeat: 0 }, message: null };
    }
    case "protocol": {
      const { protocol, address, command } = request;
      return { signal: encodeMessage({ protocol, address, command }), message: { protocol, address, command } };
    }
    case "pronto":
      return parsePronto(request.pronto);
    case "broadlink":
      return { signal: parseBroadlinkBase64(request.broadlink), message: null };
  }
}

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/ir-codes/:code",
  tag: TAG,
  summary: "One infrared code, as timings, Pronto hex or a Flipper file",
  access: "device.read",
  params: IrCodeParams,
  query: Type.Object({ format: Type.Optional(Type.Enum(["timings", "pronto", "flipper"], { description: "timings without it" })) }, closed),
  replies: { 200: { description: "The code", schema: OneIrCode } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params, query: { format } }) {
    const { db } = context.store;
    const code = await getIrCode(db, ownerOf(await getDevice(db, scope, params.id)), params.code.toLowerCase());
    if (format === "pronto") return answerOf(code, 200, { pronto: formatPronto(code.signal) });
    if (format === "flipper") return answerOf(code, 200, { flipper: formatFlipper([code]) });
    return answerOf(code, 200);
  },
});

export const rename = defineRoute({
  method: "PATCH",
  path: "/api/v1/devices/:id/ir-codes/:code",
  tag: TAG,
  summary: "Give an infrared code another name",
  access: "device.manage",
  match: "required",
  params: IrCodeParams,
  body: Type.Object({ name: IrName }, { ...closed, title: "IrCodePatch" }),
  bodyExample: { name: "Volume up" },
  replies: { 200: { description: "As it is now", schema: OneIrCode } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, rights, params, body, match, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const before = await lockIrCode(db, ownerOf(device), params.code.toLowerCase());
      match(irCodeVersion(before));
      const after = await renameIrCode(db, before, body.name, context.clock());
      const details = { uid: device.uid, name: after.name, before: before.name };
      return {
        answer: answerOf(after, 200),
        audit: [{ ...note(after, "ir_code.update", details), before: summaryJson(before), after: summaryJson(after) }],
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/devices/:id/ir-codes/:code",
  tag: TAG,
  summary: "Remove an infrared code",
  access: "device.manage",
  match: "required",
  params: IrCodeParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ rights, params, match, commit }) =>
    commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const code = await lockIrCode(db, ownerOf(device), params.code.toLowerCase());
      match(irCodeVersion(code));
      await deleteIrCode(db, code);
      const details = { uid: device.uid, name: code.name };
      return { answer: { status: 204 }, audit: [{ ...note(code, "ir_code.delete", details), before: summaryJson(code) }] };
    }),
});
