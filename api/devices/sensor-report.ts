import Type from "typebox";
import { Telemetry } from "../../core/payloads.ts";
import { defineRoute } from "../route.ts";

export const sensorReport = defineRoute({
  method: "POST",
  path: "/api/v1/devices/sensor-report",
  tag: "Telemetry",
  summary: "A device reports readings over HTTP",
  description: "The same payload and the same effect as `up/telemetry` over MQTT. Answered after the readings are stored.",
  access: "device",
  body: Telemetry,
  bodyExample: { values: { temperature: 21.5, humidity: 48 } },
  replies: {
    202: {
      description: "Stored",
      schema: Type.Object({ accepted: Type.Integer({ description: "How many values" }) }, { title: "Accepted" }),
    },
  },
  errors: ["clock_out_of_range", "storage_full"],
  async handler({ context, principal, body }) {
    await context.ingest.accept({ id: principal.id, uid: principal.uid }, "telemetry", body);
    const samples = Array.isArray(body) ? body : [body];
    return { status: 202, body: { accepted: samples.reduce((sum, sample) => sum + Object.keys(sample.values).length, 0) } };
  },
});
