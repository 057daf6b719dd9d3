import Type from "typebox";
import { DAY_MS } from "../../core/durations.ts";
import { HubError } from "../../core/errors.ts";
import { isTimeZone } from "../../core/place.ts";
import { hoursOfWeek } from "../../core/usage-profile.ts";
import { deviceIdsIn } from "../../store/device-places.ts";
import { commandsByHour } from "../../store/metrics.ts";
import { deviceFor } from "../devices/device-for.ts";
import { line } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { DeviceFilters, measuredUntil, rangeJson } from "./range.ts";

const MOST_WEEKS = 6;

const UsageView = Type.Object(
  {
    from: Type.String(),
    to: Type.String(),
    time_zone: Type.String(),
    weeks: Type.Integer(),
    hours: Type.Array(
      Type.Object(
        {
          day: Type.Integer({ minimum: 0, maximum: 6, description: "0 is Monday" }),
          hour: Type.Integer({ minimum: 0, maximum: 23 }),
          commands: Type.Integer(),
          by_hand: Type.Integer({ description: "Of those, the ones that people gave" }),
        },
        { title: "HourOfWeek" },
      ),
      { maxItems: 168, description: "Those with any, in their order" },
    ),
  },
  { title: "UsageProfile" },
);

export const usage = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/usage",
  tag: "Analytics",
  summary: "At which hours of the week your devices are used",
  description: "Commands that ended in whole weeks until now, by the clocks of `time_zone`.",
  access: "device.read",
  query: Type.Object(
    {
      ...DeviceFilters,
      weeks: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST_WEEKS, default: 4 })),
      time_zone: Type.Optional(line(64, "Of the IANA's database; UTC without it")),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "The hours of a week", schema: UsageView } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query: { device, site_id: siteId, room_id: roomId, weeks = 4, time_zone: timeZone = "UTC" } }) {
    if (!isTimeZone(timeZone)) {
      const message = `there is no time zone ${timeZone}`;
      throw new HubError("validation_error", message, { details: [{ path: "/time_zone", message }] });
    }
    const { db } = context.store;
    const to = measuredUntil(context.clock());
    const range = { from: to - weeks * 7 * DAY_MS, to };
    const deviceIds =
      device === undefined
        ? await deviceIdsIn(db, scope, { siteId: siteId?.toLowerCase(), roomId: roomId?.toLowerCase() })
        : [(await deviceFor(rights, "device.read", db, device)).id];
    const hours = hoursOfWeek(await commandsByHour(db, scope, { ...range, deviceIds }), timeZone);
    return { status: 200, body: { ...rangeJson(range), time_zone: timeZone, weeks, hours } };
  },
});
