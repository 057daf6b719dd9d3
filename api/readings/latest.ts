import Type from "typebox";
import { latestReadings } from "../../store/latest-readings.ts";
import { deviceFor } from "../devices/device-for.ts";
import { Cursor, DeviceReference, Limit, pageOf, Uuid } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { SensorKey, Value } from "./terms.ts";

const LatestView = Type.Object(
  {
    device_id: Type.String(),
    uid: Type.String(),
    key: Type.String(),
    value: Value,
    ts: Type.String({ description: "By the device's clock" }),
    received_at: Type.String(),
  },
  { title: "LatestReading" },
);

export const latest = defineRoute({
  method: "GET",
  path: "/api/v1/readings/latest",
  tag: "Telemetry",
  summary: "The newest value of each sensor of your devices",
  description: "By device and key. Newest is what the device's clock calls newest: what it has kept back and sends later changes nothing.",
  access: "device.read",
  query: Type.Object(
    {
      device: Type.Optional(DeviceReference),
      site_id: Type.Optional(Uuid),
      room_id: Type.Optional(Uuid),
      key: Type.Optional(SensorKey),
      limit: Limit(5_000, 1_000),
      cursor: Cursor,
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "A page", schema: pageOf(LatestView, "LatestReadingPage") } },
  errors: ["not_found"],
  async handler({ context, rights, scope, query: { device, site_id: siteId, room_id: roomId, key, limit = 1_000, cursor: after } }) {
    const { db } = context.store;
    const deviceId = device === undefined ? undefined : (await deviceFor(rights, "device.read", db, device)).id;
    const filter = { deviceId, siteId: siteId?.toLowerCase(), roomId: roomId?.toLowerCase(), key, limit, after };
    const page = await latestReadings(db, scope, filter);
    const data = page.items.map((one) => ({
      device_id: one.deviceId,
      uid: one.uid,
      key: one.key,
      value: one.value,
      ts: new Date(one.ts).toISOString(),
      received_at: one.receivedAt,
    }));
    return { status: 200, body: { data, next_cursor: page.next } };
  },
});
