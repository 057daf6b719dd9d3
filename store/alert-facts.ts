import type { Fleet } from "../core/alert-groups.ts";
import type { Db } from "./open.ts";
import { engineOf, idsParameter, rowsOf, toJson } from "./sql.ts";
import { sensorValue } from "./state.ts";

/** From the gateway to what is behind it. */
export const GATEWAY = "gateway";

export interface PlacedDevice {
  readonly id: string;
  readonly uid: string;
  readonly organizationId: string | null;
  readonly name: string;
  readonly presence: string;
  readonly roomId: string | null;
  readonly siteId: string | null;
  readonly siteName: string | null;
  /** ISO 8601 */
  readonly lastSeenAt: string | null;
}

const DEVICES = `select d.id, d.uid, d.organization_id as "organizationId", e.name, d.connection_status as presence, d.room_id as "roomId", r.site_id as "siteId",
  se.name as "siteName", d.last_seen_at as "lastSeenAt" from devices d join entities e on e.id = d.id left join rooms r on r.id = d.room_id left join entities se on se.id = r.site_id`;

/** undefined for another organisation's, too. */
export async function findPlacedDevice(db: Db, uid: string, organizationId: string): Promise<PlacedDevice | undefined> {
  return (await rowsOf<PlacedDevice>(db, `${DEVICES} where d.uid = ? and d.organization_id = ?`, [uid, organizationId]))[0];
}

/** Those of the organisation that a rule is about, by id, after `after`; none of them comes or goes until the transaction ends. */
export async function listWatchedDevices(
  trx: Db,
  organizationId: string,
  { device, siteId, roomId }: { device?: string | undefined; siteId?: string | undefined; roomId?: string | undefined },
  { after, limit }: { after: string; limit: number },
): Promise<PlacedDevice[]> {
  const wanted: [string, string | undefined][] = [
    ["d.uid", device],
    ["r.site_id", siteId],
    ["d.room_id", roomId],
  ];
  const given = wanted.filter(([, value]) => value !== undefined) as [string, string][];
  const lock = engineOf(trx) === "postgres" ? " for share of d" : "";
  return await rowsOf<PlacedDevice>(
    trx,
    `${DEVICES} where d.organization_id = ? and d.id > ? ${given.map(([column]) => `and ${column} = ?`).join(" ")} order by d.id limit ?${lock}`,
    [organizationId, after, ...given.map(([, value]) => value), limit],
  );
}

export interface NewestReading {
  readonly value: ReturnType<typeof sensorValue>;
  /** When it came, in ms since 1970. */
  readonly receivedAt: number;
  /** By the device's clock. */
  readonly ts: number;
}

/** By the devices' ids. */
export async function newestReadings(db: Db, deviceIds: readonly string[], key: string): Promise<ReadonlyMap<string, NewestReading>> {
  const rows = await rowsOf<{ device_id: string; v: number | null; json: string | null; received_at: string; ts: number }>(
    db,
    `select device_id, v, cast(json as text) as json, received_at, ts from device_sensor_state where sensor_key = ? and device_id in ${idsParameter(db)}`,
    [key, toJson(deviceIds)],
  );
  return new Map(
    rows.map((row) => [row.device_id, { value: sensorValue(row.v, row.json), receivedAt: Date.parse(row.received_at), ts: row.ts }]),
  );
}

/** When the last reading of each of the devices came, in ms since 1970; those that have sent none are missing. */
export async function lastReadingsAt(db: Db, deviceIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const rows = await rowsOf<{ id: string; at: string }>(
    db,
    `select device_id as id, max(received_at) as at from device_sensor_state where device_id in ${idsParameter(db)} group by device_id`,
    [toJson(deviceIds)],
  );
  return new Map(rows.map(({ id, at }) => [id, Date.parse(at)]));
}

/** How many devices there are, and the gateways of these. */
export async function readFleet(
  db: Db,
  organizationId: string,
  deviceIds: readonly string[],
): Promise<{ readonly fleet: Fleet; readonly gatewaysOf: ReadonlyMap<string, readonly string[]> }> {
  const sites = await rowsOf<{ siteId: string | null; n: number | string }>(
    db,
    `select r.site_id as "siteId", count(*) as n from devices d left join rooms r on r.id = d.room_id where d.organization_id = ? group by r.site_id`,
    [organizationId],
  );
  const edges = await rowsOf<{ gateway: string; device: string }>(
    db,
    `select g.uid as gateway, l.to_entity as device from relationships l join devices g on g.id = l.from_entity
     where l.organization_id = ? and l.relationship_type = ? and l.to_entity in ${idsParameter(db)}`,
    [organizationId, GATEWAY, toJson(deviceIds)],
  );
  const behind = await rowsOf<{ gateway: string; n: number | string }>(
    db,
    `select g.uid as gateway, count(*) as n from relationships l join devices g on g.id = l.from_entity join devices d on d.id = l.to_entity
     where l.organization_id = ? and l.relationship_type = ? group by g.uid`,
    [organizationId, GATEWAY],
  );
  const known = sites.filter((one): one is { siteId: string; n: number | string } => one.siteId !== null);
  return {
    fleet: {
      organization: sites.reduce((sum, { n }) => sum + Number(n), 0),
      sites: new Map(known.map(({ siteId, n }) => [siteId, Number(n)])),
      gateways: new Map(behind.map(({ gateway, n }) => [gateway, Number(n) + 1])),
    },
    gatewaysOf: new Map([...Map.groupBy(edges, ({ device }) => device)].map(([id, of]) => [id, of.map(({ gateway }) => gateway)])),
  };
}

/** When the clock was last set, in ms since 1970. */
export async function lastClockStep(db: Db): Promise<number> {
  const [row] = await rowsOf<{ at: string | null }>(db, "select stepped_at as at from hub_clock where id = 1");
  return row?.at ? Date.parse(row.at) : 0;
}

/** What a place or an organisation is called. */
export async function nameOf(db: Db, id: string): Promise<string | undefined> {
  return (await rowsOf<{ name: string }>(db, "select name from entities where id = ?", [id]))[0]?.name;
}
