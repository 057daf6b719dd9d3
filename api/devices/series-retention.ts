import Type from "typebox";
import type { Device } from "../../core/device.ts";
import { HubError } from "../../core/errors.ts";
import { getDevice, lockDevice } from "../../store/devices.ts";
import type { Db } from "../../store/open.ts";
import { findSeriesRetention, organizationRetention, type SeriesName, setSeriesRetention } from "../../store/series-retentions.ts";
import type { ApiContext } from "../context.ts";
import { DeviceReference, nullable } from "../fields.ts";
import { SensorKey } from "../readings/terms.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { deviceFor } from "./device-for.ts";

const TAG = "Telemetry";
const PATH = "/api/v1/devices/:id/series/:key/retention";
/** Ten years. */
const MAX_DAYS = 3_660;

const SeriesParams = Type.Object({ id: DeviceReference, key: SensorKey }, { additionalProperties: false });
const Retention = Type.Object(
  {
    key: Type.String(),
    days: nullable("integer", { description: "Of this series alone; null without" }),
    organization_days: nullable("integer", { description: "What its organisation keeps all readings for; null: for ever" }),
    effective_days: nullable("integer", { description: "The less of both; null: for ever" }),
  },
  { title: "SeriesRetention" },
);

export const show = defineRoute({
  method: "GET",
  path: PATH,
  tag: TAG,
  summary: "For how many days the readings of a series are kept",
  access: "device.read",
  params: SeriesParams,
  replies: { 200: { description: "The days", schema: Retention } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, scope, params }) {
    const { db } = context.store;
    const series = seriesOf(await getDevice(db, scope, params.id), params.key);
    return { status: 200, body: retentionJson(series, await findSeriesRetention(db, series), await limitOf(context, db, series)) };
  },
});

export const put = defineRoute({
  method: "PUT",
  path: PATH,
  tag: TAG,
  summary: "Keep the readings of a series for less",
  description:
    "Never for more than the hub and the organisation keep all of them, since old readings go by whole days. What goes is summed up first, and what it amounts to by hour and day stays. It is done once an hour.",
  access: "device.manage",
  params: SeriesParams,
  body: Type.Object(
    { days: Type.Integer({ minimum: 1, maximum: MAX_DAYS }) },
    { additionalProperties: false, title: "SeriesRetentionRequest" },
  ),
  bodyExample: { days: 7 },
  replies: { 200: { description: "As it is now", schema: Retention } },
  errors: ["not_found", "device_not_claimed", "quota_exceeded"],
  handler: ({ context, rights, params, body: { days }, commit }) =>
    commit(async (db) => {
      const series = seriesOf(await lockDevice(db, await deviceFor(rights, "device.manage", db, params.id)), params.key);
      const limit = await limitOf(context, db, series);
      if (limit !== 0 && days > limit) throw tooLong(limit);
      const before = await findSeriesRetention(db, series);
      await setSeriesRetention(db, series, { days, now: context.clock() });
      return {
        answer: { status: 200, body: retentionJson(series, days, limit) },
        audit: [note(series, { before, after: days })],
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: PATH,
  tag: TAG,
  summary: "Keep the readings of a series for as long as all others",
  description: "What has gone does not come back.",
  access: "device.manage",
  params: SeriesParams,
  replies: { 204: { description: "It has no days of its own any more" } },
  errors: ["not_found", "device_not_claimed"],
  handler: ({ context, rights, params, commit }) =>
    commit(async (db) => {
      const series = seriesOf(await lockDevice(db, await deviceFor(rights, "device.manage", db, params.id)), params.key);
      const before = await findSeriesRetention(db, series);
      await setSeriesRetention(db, series, { days: null, now: context.clock() });
      return { answer: { status: 204 }, audit: before === null ? [] : [note(series, { before, after: null })] };
    }),
});

function seriesOf({ id, organizationId }: Device, key: string): SeriesName {
  if (organizationId === null) throw new HubError("device_not_claimed", "the device belongs to nobody");
  return { deviceId: id, organizationId, key };
}

const limitOf = ({ settings }: ApiContext, db: Db, { organizationId }: SeriesName): Promise<number> =>
  organizationRetention(db, organizationId, settings.readingRetentionDays);

function tooLong(limit: number): HubError {
  const message = `is more than the ${limit} days that readings are kept for`;
  return new HubError("validation_error", `/days ${message}`, { details: [{ path: "/days", message }] });
}

const note = ({ deviceId, organizationId, key }: SeriesName, days: { before: number | null; after: number | null }): AuditNote => ({
  organizationId,
  action: "series.retention",
  resourceType: "device",
  resourceId: deviceId,
  details: { key, days },
});

const retentionJson = ({ key }: SeriesName, days: number | null, limit: number) => ({
  key,
  days,
  organization_days: limit === 0 ? null : limit,
  effective_days: days !== null && (limit === 0 || days < limit) ? days : limit === 0 ? null : limit,
});
