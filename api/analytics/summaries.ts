import Type from "typebox";
import type { Device } from "../../core/device.ts";
import { type Measure, mergeMeasures, type MetricType } from "../../core/metric.ts";
import { totalOf } from "../../store/health-facts.ts";
import { totalsOf } from "../../store/metrics.ts";
import { nullable } from "../fields.ts";
import { type Call, defineRoute } from "../route.ts";
import { devicePage, PageQuery, type Range, RANGE_WORDS, rangeJson, rangeOf } from "./range.ts";
import { DeviceFields, deviceFields, durationJson, DurationView, measuredPage, shareOf } from "./representation.ts";

const COMMAND_METRICS: readonly MetricType[] = ["command.success", "command.latency", "command.timeout", "command.by_hand"];
const TASK_METRICS: readonly MetricType[] = ["task.success", "task.duration"];
const USE_METRICS: readonly MetricType[] = ["presence.online", "presence.disconnects", "relay.on"];

const CommandCounts = {
  count: Type.Integer({ description: "Commands that ended" }),
  success_share: nullable("number", { description: "0 to 1; null without any" }),
  timeouts: Type.Integer(),
  by_hand: Type.Integer({ description: "Given by people" }),
  latency: DurationView,
};
const CommandSummary = Type.Object(
  {
    ...DeviceFields,
    ...CommandCounts,
    channels: Type.Array(Type.Object({ channel: Type.String(), ...CommandCounts }, { title: "ChannelCommands" }), {
      description: "By what of the device they were about: relay 0, light 1, relays (all at once), ir; empty for the device itself",
    }),
  },
  { title: "DeviceCommands" },
);

export const commands = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/commands",
  tag: "Analytics",
  summary: "How commands of your devices went, and how long they took",
  description: `${RANGE_WORDS} By device.`,
  access: "device.read",
  query: PageQuery,
  replies: { 200: { description: "A page", schema: measuredPage(CommandSummary, "DeviceCommandsPage") } },
  errors: ["not_found"],
  handler: (call) =>
    answerOf(call, COMMAND_METRICS, (_device, measures) => ({
      ...commandCounts(measures),
      channels: [...Map.groupBy(measures, ({ channel }) => channel)]
        .filter(([, group]) => totalOf(group, "command.success") !== undefined)
        .map(([channel, group]) => ({ channel, ...commandCounts(group) }))
        .toSorted((a, b) => (a.channel < b.channel ? -1 : 1)),
    })),
});

function commandCounts(measures: readonly Measure[]) {
  const success = totalOf(measures, "command.success");
  return {
    count: success?.n ?? 0,
    success_share: shareOf(success),
    timeouts: totalOf(measures, "command.timeout")?.n ?? 0,
    by_hand: totalOf(measures, "command.by_hand")?.n ?? 0,
    latency: durationJson(totalOf(measures, "command.latency")),
  };
}

const TaskSummary = Type.Object(
  {
    ...DeviceFields,
    count: Type.Integer({ description: "Tasks that were completed, failed, or expired since their device did not come" }),
    completed: Type.Integer(),
    success_share: nullable("number", { description: "0 to 1; null without any" }),
    duration: DurationView,
  },
  { title: "DeviceTasks" },
);

export const tasks = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/tasks",
  tag: "Analytics",
  summary: "How tasks of your devices went, and how long the devices took",
  description: `${RANGE_WORDS} By device.`,
  access: "device.read",
  query: PageQuery,
  replies: { 200: { description: "A page", schema: measuredPage(TaskSummary, "DeviceTasksPage") } },
  errors: ["not_found"],
  handler: (call) =>
    answerOf(call, TASK_METRICS, (_device, measures) => {
      const success = totalOf(measures, "task.success");
      return {
        count: success?.n ?? 0,
        completed: success?.sum ?? 0,
        success_share: shareOf(success),
        duration: durationJson(totalOf(measures, "task.duration")),
      };
    }),
});

const Utilisation = Type.Object(
  {
    ...DeviceFields,
    online_s: Type.Number(),
    online_share: nullable("number", { description: "0 to 1, of the range since the device was claimed; null for one that is newer" }),
    disconnects: Type.Integer(),
    relays: Type.Array(Type.Object({ relay: Type.Integer(), on_s: Type.Number() }, { title: "RelayUse" }), {
      description: "Those that were on, as far as the hub heard",
    }),
  },
  { title: "DeviceUtilisation" },
);

export const devices = defineRoute({
  method: "GET",
  path: "/api/v1/analytics/devices",
  tag: "Analytics",
  summary: "How long your devices were connected, and their relays on",
  description: `${RANGE_WORDS} By device.`,
  access: "device.read",
  query: PageQuery,
  replies: { 200: { description: "A page", schema: measuredPage(Utilisation, "DeviceUtilisationPage") } },
  errors: ["not_found"],
  handler: (call) =>
    answerOf(call, USE_METRICS, (device, measures, { from, to }) => {
      const onlineS = totalOf(measures, "presence.online")?.sum ?? 0;
      const possibleS = (to - Math.max(from, Date.parse(device.claimedAt ?? device.createdAt))) / 1_000;
      return {
        online_s: onlineS,
        online_share: possibleS <= 0 ? null : Math.min(1, onlineS / possibleS),
        disconnects: totalOf(measures, "presence.disconnects")?.n ?? 0,
        relays: mergeMeasures(measures.filter(({ type }) => type === "relay.on"))
          .map(({ channel, sum }) => ({ relay: Number(channel.slice("relay ".length)), on_s: sum }))
          .filter(({ on_s: s }) => s > 0)
          .toSorted((a, b) => a.relay - b.relay),
      };
    }),
});

type PageCall = Call<"device.read", unknown, Parameters<typeof devicePage>[1] & Parameters<typeof rangeOf>[0]>;

async function answerOf(
  { context, rights, scope, query }: Pick<PageCall, "context" | "rights" | "scope" | "query">,
  types: readonly MetricType[],
  view: (device: Device, measures: readonly Measure[], range: Range) => object,
) {
  const { db } = context.store;
  const range = rangeOf(query, context.clock());
  const page = await devicePage({ db, rights, scope }, query);
  const totals = await totalsOf(db, page.of, { ...range, types });
  const data = page.devices.map((device) => ({ ...deviceFields(device), ...view(device, totals.get(device.id) ?? [], range) }));
  return { status: 200, body: { ...rangeJson(range), data, next_cursor: page.next } };
}
