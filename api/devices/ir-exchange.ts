import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { MAX_IR_FILE_BYTES } from "../../core/ir-file.ts";
import { FLIPPER_HEAD, formatFlipperEntries } from "../../core/ir-flipper.ts";
import { MOST_IR_CODES } from "../../core/ir-names.ts";
import { createIrCodes, listIrCodes } from "../../store/ir-codes.ts";
import { getDevice } from "../../store/devices.ts";
import { DeviceParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { deviceFor, ownerOf } from "./device-for.ts";

export const importFile = defineRoute({
  method: "POST",
  path: "/api/v1/devices/:id/ir-codes/import",
  tag: "Infrared",
  summary: "Take over the infrared codes of a file",
  description: `A Flipper file (.ir), or one of SmartIR (.json), at most ${MAX_IR_FILE_BYTES / 1024} KiB. All of its codes or none: what is wrong is refused with its line.`,
  access: "device.manage",
  params: DeviceParams,
  raw: { maxBytes: MAX_IR_FILE_BYTES, types: ["text/plain", "application/json"] },
  replies: {
    201: {
      description: "Made",
      schema: Type.Object(
        {
          imported: Type.Integer({ description: "How many" }),
          data: Type.Array(Type.Object({ id: Type.String(), name: Type.String() }), { maxItems: MOST_IR_CODES }),
        },
        { title: "IrImported" },
      ),
    },
  },
  errors: ["not_found", "device_not_claimed", "quota_exceeded", "rate_limited", "unavailable"],
  async handler({ context, rights, params, incoming, commit }) {
    if (!incoming) throw new Error("the route reads its body by itself");
    if ((incoming.headers["content-encoding"] ?? "identity") !== "identity")
      throw new HubError("unsupported_media_type", "compressed bodies are not accepted");
    // Nobody's file is read for who may not have it kept.
    await deviceFor(rights, "device.manage", context.store.db, params.id);
    const codes = await context.files.readIr(incoming.bytes);
    return await commit(async (db) => {
      const device = await deviceFor(rights, "device.manage", db, params.id);
      const owner = ownerOf(device);
      const made = await createIrCodes(db, owner, codes, { source: "imported", now: context.clock() });
      const details = { uid: device.uid, imported: made.length };
      return {
        answer: { status: 201, body: { imported: made.length, data: made.map(({ id, name }) => ({ id, name })) } },
        audit: [{ organizationId: owner.organizationId, action: "ir_code.import", resourceType: "device", resourceId: device.id, details }],
      };
    });
  },
});

/** Codes that are in memory at a time. */
const PAGE = 200;

export const exportAll = defineRoute({
  method: "GET",
  path: "/api/v1/devices/:id/ir-codes/export",
  tag: "Infrared",
  summary: "All infrared codes of a device as a Flipper file",
  description: "By protocol where a code was made so and Flipper knows it, else with every timing.",
  access: "device.read",
  params: DeviceParams,
  replies: { 200: { description: "The file", types: ["text/plain"] } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const device = await getDevice(db, scope, params.id);
    const owner = ownerOf(device);
    return {
      status: 200,
      stream: {
        type: "text/plain; charset=utf-8",
        fileName: `${device.uid}.ir`,
        async *read() {
          yield FLIPPER_HEAD;
          let after: string | undefined;
          do {
            const page = await listIrCodes(db, owner, { limit: PAGE, after });
            yield formatFlipperEntries(page.items);
            after = page.next ?? undefined;
          } while (after !== undefined);
        },
      },
    };
  },
});
