import { BRIDGES, type BridgeName, type Exposure } from "../core/smart-home.ts";
import type { Db } from "./open.ts";
import { isoOf } from "./sql.ts";

/** Whose devices they are. What the former organisation of a device has said of it is none of the next one's. */
export interface ExposureOwner {
  readonly id: string;
  readonly organizationId: string;
}

export async function readExposure(db: Db, { id, organizationId }: ExposureOwner): Promise<Exposure> {
  return exposureOf((await db("bridge_exposures").where({ device_id: id, organization_id: organizationId })) as Row[]);
}

/** Of the devices of which somebody has said something, by their ids. */
export async function readExposures(db: Db, organizationId: string): Promise<Map<string, Exposure>> {
  const rows = (await db("bridge_exposures").where({ organization_id: organizationId })) as Row[];
  return new Map([...Map.groupBy(rows, (row) => row.device_id)].map(([id, of]) => [id, exposureOf(of)]));
}

/** What is not named stays as it is. */
export async function putExposure(
  trx: Db,
  { id, organizationId }: ExposureOwner,
  wanted: Partial<Exposure>,
  now: number,
): Promise<Exposure> {
  for (const bridge of BRIDGES) {
    const isExposed = wanted[bridge];
    if (isExposed === undefined) continue;
    await trx("bridge_exposures")
      .insert({ device_id: id, organization_id: organizationId, bridge, is_exposed: isExposed, updated_at: isoOf(now) })
      .onConflict(["device_id", "organization_id", "bridge"])
      .merge(["is_exposed", "updated_at"]);
  }
  return await readExposure(trx, { id, organizationId });
}

interface Row {
  device_id: string;
  bridge: BridgeName;
  is_exposed: boolean | number;
}

export const EXPOSED: Exposure = { home_assistant: true, homekit: true, alexa: true };

const exposureOf = (rows: readonly Row[]): Exposure =>
  rows.reduce((exposure, { bridge, is_exposed }) => ({ ...exposure, [bridge]: Boolean(is_exposed) }), EXPOSED);
