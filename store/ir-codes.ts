import { HubError } from "../core/errors.ts";
import { newId } from "../core/id.ts";
import { MOST_IR_CODES } from "../core/ir-names.ts";
import type { IrCode } from "../core/ir-signal.ts";
import type { Db } from "./open.ts";
import { containing, fromJson, isoOf, type Page, pageOf, rowSource, rowsOf, storableText, toJson } from "./sql.ts";

export type IrSource = "written" | "imported" | "learned";

/** An infrared code of a device. */
export interface DeviceIrCode extends IrCode {
  readonly id: string;
  readonly deviceId: string;
  readonly organizationId: string;
  readonly source: IrSource;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** Whose codes they are. A device that went to another organisation has none of the former one's. */
export interface IrOwner {
  readonly id: string;
  readonly organizationId: string;
}

const COLUMNS = {
  id: "text",
  organization_id: "text",
  device_id: "text",
  name: "text",
  source: "text",
  timings: "json",
  carrier_hz: "int",
  repeat_from: "int",
  repeats: "int",
  protocol: "text",
  address: "int",
  command: "int",
  version: "int",
  created_at: "time",
  updated_at: "time",
} as const;
const NAMES = Object.keys(COLUMNS).join(", ");
/** The device is still that organisation's. */
const IS_OWNED = "exists (select 1 from devices as d where d.id = r.device_id and d.organization_id = r.organization_id)";

/** In their order. Throws `quota_exceeded`, and `not_found` when the device has left the organisation meanwhile. */
export async function createIrCodes(
  trx: Db,
  owner: IrOwner,
  codes: readonly IrCode[],
  { source, now }: { readonly source: IrSource; readonly now: number },
): Promise<DeviceIrCode[]> {
  await lockOwner(trx, owner);
  const count = await countIrCodes(trx, owner.id);
  if (count + codes.length > MOST_IR_CODES)
    throw new HubError("quota_exceeded", `a device has at most ${MOST_IR_CODES} infrared codes`, {
      details: { count, wanted: codes.length },
    });
  const rows = codes.map((code) => rowOf(owner, code, source, now));
  await rowsOf(trx, `insert into device_ir_codes (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)} where true`, [toJson(rows)]);
  return rows.map(codeOf);
}

/** What a device has learned; undefined when it has left the organisation meanwhile, or has no room for more. */
export async function keepLearnedIrCode(trx: Db, owner: IrOwner, code: IrCode, now: number): Promise<string | undefined> {
  const kept = await rowsOf<{ id: string }>(
    trx,
    `insert into device_ir_codes (${NAMES}) select ${NAMES} from ${rowSource(trx, COLUMNS)} where ${IS_OWNED}
     and (select count(*) from device_ir_codes as c where c.device_id = r.device_id) < ${MOST_IR_CODES} returning id`,
    [toJson([rowOf(owner, code, "learned", now)])],
  );
  return kept[0]?.id;
}

export interface IrCodeFilter {
  readonly limit: number;
  readonly after?: string | undefined;
  /** Part of the name. */
  readonly search?: string | undefined;
}

/** In the order in which they were made. */
export async function listIrCodes(db: Db, owner: IrOwner, { limit, after, search }: IrCodeFilter): Promise<Page<DeviceIrCode>> {
  const query = codesOf(db, owner)
    .orderBy("id")
    .limit(limit + 1);
  if (after !== undefined) query.where("id", ">", after);
  if (search !== undefined) query.whereRaw("hub_lower(name) like ? escape '\\'", [containing(search)]);
  return pageOf(((await query) as IrCodeRow[]).map(codeOf), limit, ({ id }) => id);
}

/** Throws `not_found`. */
export async function getIrCode(db: Db, owner: IrOwner, id: string): Promise<DeviceIrCode> {
  return found((await codesOf(db, owner).where({ id }).first()) as IrCodeRow | undefined);
}

/** As it is until the transaction ends. Throws `not_found`. */
export async function lockIrCode(trx: Db, owner: IrOwner, id: string): Promise<DeviceIrCode> {
  return found((await codesOf(trx, owner).where({ id }).forUpdate().first()) as IrCodeRow | undefined);
}

/** One that is locked. */
export async function renameIrCode(trx: Db, { id, version }: DeviceIrCode, name: string, now: number): Promise<DeviceIrCode> {
  const rows = (await trx("device_ir_codes")
    .where({ id })
    .update({ name: storableText(name), version: version + 1, updated_at: isoOf(now) })
    .returning("*")) as IrCodeRow[];
  return found(rows[0]);
}

/** One that is locked. */
export async function deleteIrCode(trx: Db, { id }: DeviceIrCode): Promise<void> {
  await trx("device_ir_codes").where({ id }).del();
}

const codesOf = (db: Db, { id, organizationId }: IrOwner) =>
  db("device_ir_codes").where({ device_id: id, organization_id: organizationId });

/** Nobody else adds codes, and the device stays where it is, until the transaction ends. */
async function lockOwner(trx: Db, { id, organizationId }: IrOwner): Promise<void> {
  const device: unknown = await trx("devices").where({ id, organization_id: organizationId }).forUpdate().first("id");
  if (device === undefined) throw new HubError("not_found", "there is no such device");
}

async function countIrCodes(trx: Db, deviceId: string): Promise<number> {
  const row = (await trx("device_ir_codes").where({ device_id: deviceId }).count({ n: "*" }).first()) as { n: number | string } | undefined;
  return Number(row?.n ?? 0);
}

interface IrCodeRow {
  id: string;
  organization_id: string;
  device_id: string;
  name: string;
  source: IrSource;
  timings: unknown;
  carrier_hz: number;
  repeat_from: number;
  repeats: number;
  protocol: string | null;
  address: number | null;
  command: number | null;
  version: number;
  created_at: string;
  updated_at: string;
}

function rowOf(owner: IrOwner, { name, signal, message }: IrCode, source: IrSource, now: number): IrCodeRow {
  return {
    id: newId(),
    organization_id: owner.organizationId,
    device_id: owner.id,
    name: storableText(name),
    source,
    timings: signal.timings,
    carrier_hz: signal.carrierHz,
    repeat_from: signal.repeatFrom,
    repeats: signal.repeat,
    protocol: message?.protocol ?? null,
    address: message?.address ?? null,
    command: message?.command ?? null,
    version: 1,
    created_at: isoOf(now),
    updated_at: isoOf(now),
  };
}

function found(row: IrCodeRow | undefined): DeviceIrCode {
  if (!row) throw new HubError("not_found", "the device has no such infrared code");
  return codeOf(row);
}

function codeOf(row: IrCodeRow): DeviceIrCode {
  const { protocol, address, command } = row;
  return {
    id: row.id,
    deviceId: row.device_id,
    organizationId: row.organization_id,
    name: row.name,
    source: row.source,
    signal: {
      timings: fromJson(row.timings) as number[],
      carrierHz: row.carrier_hz,
      repeatFrom: row.repeat_from,
      repeat: row.repeats,
    },
    message: protocol === null || address === null || command === null ? null : { protocol, address, command },
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
