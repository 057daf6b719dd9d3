import Type from "typebox";
import { defineRoute } from "../route.ts";

const DemoView = Type.Object(
  { devices: Type.Array(Type.Object({ uid: Type.String(), name: Type.String(), connected: Type.Boolean() }, { title: "DemoDevice" })) },
  { title: "DemoHome" },
);

export const start = defineRoute({
  method: "POST",
  path: "/api/v1/demo",
  tag: "Demo",
  summary: "Start the demo home in your organisation",
  description: "Virtual devices over real MQTT and TLS. Starting it twice changes nothing.",
  access: "platform",
  replies: { 200: { description: "The demo's devices", schema: DemoView } },
  errors: ["unavailable"],
  async handler({ context, principal, commit }) {
    const { organizationId } = principal;
    const devices = await context.demo.start(organizationId);
    return commit(async () => ({
      answer: { status: 200, body: { devices } },
      audit: [{ organizationId, action: "demo.start", resourceType: "demo", resourceId: null, details: { devices: devices.length } }],
    }));
  },
});

export const stop = defineRoute({
  method: "DELETE",
  path: "/api/v1/demo",
  tag: "Demo",
  summary: "Stop the demo home and remove its devices",
  access: "platform",
  replies: { 200: { description: "How many devices went", schema: Type.Object({ removed: Type.Integer() }, { title: "DemoStopped" }) } },
  async handler({ context, principal, commit }) {
    const removed = await context.demo.stop();
    return commit(async () => ({
      answer: { status: 200, body: { removed } },
      audit: [
        { organizationId: principal.organizationId, action: "demo.stop", resourceType: "demo", resourceId: null, details: { removed } },
      ],
    }));
  },
});

export const status = defineRoute({
  method: "GET",
  path: "/api/v1/demo",
  tag: "Demo",
  summary: "The demo home's devices; none when it does not run",
  access: "platform",
  replies: { 200: { description: "The demo's devices", schema: DemoView } },
  handler: async ({ context }) => ({ status: 200, body: { devices: await context.demo.status() } }),
});
