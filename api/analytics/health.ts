import Type from "typebox";
import { HEALTH_PARTS, healthOf } from "../../core/health-score.ts";
import { healthFacts } from "../../store/health-facts.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceParams, nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { measuredUntil } from "./range.ts";
import { DeviceFields, deviceFields } from "./representation.ts";

const HealthView = Type.Object(
  {
    ...DeviceFields,
    status: Type.Enum(["known", "unknown"], { description: "unknown: there is nothing to judge by" }),
    score: nullable("integer", { description: "0 to 100: the mean of the parts that are known, by their weights" }),
    parts: Type.Array(
      Type.Object(
        {
          part: Type.Enum([...HEALTH_PARTS]),
          weight: Type.Integer(),
          value: nullable("integer", { description: "0 to 100; null where it is unknown" }),
          reason: Type.String(),
        },
        { title: "HealthPart" },
      ),
    ),
    at: Type.String({ description: "The end of the last hour that counts" }),
  },
  { title: "DeviceHealth" },
);

export const health = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/devices/:id/health",
  tag: "Analytics",
  summary: "How well a device is, and why",
  description: "The last seven days against the four weeks before.",
  access: "device.read",
  params: DeviceParams,
  replies: { 200: { description: "The score with its parts", schema: HealthView } },
  errors: ["not_found"],
  async handler({ context, rights, params }) {
    const { db } = context.store;
    const device = await deviceFor(rights, "device.read", db, params.id);
    const at = measuredUntil(context.clock());
    const { score, parts } = healthOf(await healthFacts(db, device, at));
    const status = score === null ? "unknown" : "known";
    return { status: 200, body: { ...deviceFields(device), status, score, parts, at: new Date(at).toISOString() } };
  },
});
