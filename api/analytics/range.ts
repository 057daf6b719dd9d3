import Type from "typebox";
import type { Device } from "../../core/device.ts";
import { DAY_MS, HOUR_MS } from "../../core/durations.ts";
import { HubError } from "../../core/errors.ts";
import type { Access } from "../../core/permissions.ts";
import type { Scope } from "../../core/principal.ts";
import { listDevices } from "../../store/devices.ts";
import { HOURS_KEPT_DAYS, type Measured } from "../../store/metrics.ts";
import type { Db } from "../../store/open.ts";
import { deviceFor } from "../devices/device-for.ts";
import { Cursor, DeviceReference, Instant, Limit, parseInstant, Uuid } from "../fields.ts";

/** An hour is worked out so long after its end. */
const SETTLED_MS = 5 * 60_000;
const PRESET_DAYS = 7;
const MOST_DAYS = 366;

export const RangeFields = {
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
};

export const DeviceFilters = {
  device: Type.Optional(DeviceReference),
  site_id: Type.Optional(Uuid),
  room_id: Type.Optional(Uuid),
};

/** Of a page of devices. */
export const PageQuery = Type.Object(
  { ...RangeFields, ...DeviceFilters, limit: Limit(100, 50), cursor: Cursor },
  { additionalProperties: false },
);

export const RANGE_WORDS = `Whole hours of UTC that are over, of the last ${PRESET_DAYS} days without \`from\`; ${MOST_DAYS} days at most. Beyond ${HOURS_KEPT_DAYS} days the range begins with a whole day.`;

export interface Range {
  /** ms since 1970, at whole hours */
  readonly from: number;
  readonly to: number;
}

/** The end of the last hour that is worked out, in ms since 1970. */
export const measuredUntil = (now: number): number => Math.floor((now - SETTLED_MS) / HOUR_MS) * HOUR_MS;

/** Throws `validation_error`. */
export function rangeOf(given: { from?: string | undefined; to?: string | undefined }, now: number): Range {
  const end = measuredUntil(now);
  const to = given.to === undefined ? end : Math.min(end, Math.ceil(parseInstant(given.to, "to") / HOUR_MS) * HOUR_MS);
  const from = given.from === undefined ? to - PRESET_DAYS * DAY_MS : parseInstant(given.from, "from");
  // Older hours have gone, and days are whole.
  const step = from < now - (HOURS_KEPT_DAYS - 1) * DAY_MS ? DAY_MS : HOUR_MS;
  const start = Math.max(0, Math.floor(from / step) * step);
  if (start > to) throw refused("from is later than what is worked out by now, or than to");
  if (to - start > (MOST_DAYS + 1) * DAY_MS) throw refused(`the range has more than ${MOST_DAYS} days`);
  return { from: start, to };
}

const refused = (message: string): HubError => new HubError("validation_error", message, { details: [{ path: "/from", message }] });

export const rangeJson = ({ from, to }: Range) => ({ from: new Date(from).toISOString(), to: new Date(to).toISOString() });

interface DevicePageQuery {
  readonly device?: string | undefined;
  readonly site_id?: string | undefined;
  readonly room_id?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Those of an organisation, by id. Throws `not_found` for a device that is not theirs to see. */
export async function devicePage(
  { db, rights, scope }: { readonly db: Db; readonly rights: Access; readonly scope: Scope },
  { device, site_id: siteId, room_id: roomId, limit = 50, cursor: after }: DevicePageQuery,
): Promise<{ readonly devices: readonly Device[]; readonly of: readonly Measured[]; readonly next: string | null }> {
  const page =
    device === undefined
      ? await listDevices(db, scope, { limit, after, siteId: siteId?.toLowerCase(), roomId: roomId?.toLowerCase() })
      : { items: [await deviceFor(rights, "device.read", db, device)], next: null };
  const devices = page.items.filter(({ organizationId }) => organizationId !== null);
  const of = devices.map(({ id, organizationId }) => ({ deviceId: id, organizationId: organizationId as string }));
  return { devices, of, next: page.next };
}
