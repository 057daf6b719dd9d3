import Type from "typebox";
import {
  bursts,
  frequencies,
  MAX_BURSTS,
  MAX_FREQUENCIES,
  MAX_SEQUENCES,
  MAX_SEQUENCE_TYPES,
  sequences,
} from "../../core/event-patterns.ts";
import { MAX_PATTERN_EVENTS, recentEvents } from "../../store/event-patterns.ts";
import { nullable } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { EventFilters, filterOf } from "./filters.ts";

const Seconds = (preset: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, default: preset, description }));

const PRESET = { window_s: 60, burst_window_s: 60, sigma: 3 };

const FrequencyView = Type.Object(
  {
    type: Type.String(),
    count: Type.Integer(),
    mean_interval_ms: nullable("number", { description: "null for a single one" }),
    median_interval_ms: nullable("number"),
    regularity: nullable("number", {
      description:
        "mean / (mean + standard deviation) of the intervals: 1 is clockwork, 0.5 chance, less comes in heaps; null below two intervals",
    }),
  },
  { title: "EventFrequency" },
);
const SequenceView = Type.Object(
  {
    before: Type.String(),
    after: Type.String(),
    count: Type.Integer({ description: "How many of `before` an `after` of the same entity followed within `window_s`" }),
    support: Type.Number({ description: "Their share of all events" }),
    confidence: Type.Number({ description: "Their share of all `before`" }),
    median_delay_ms: Type.Number(),
  },
  { title: "EventSequence" },
);
const BurstView = Type.Object({ start: Type.String(), end: Type.String(), count: Type.Integer() }, { title: "EventBurst" });

export const patterns = defineRoute({
  method: "GET",
  path: "/api/v1/events/patterns",
  tag: "Events",
  summary: "What comes how often, what follows what, and when there was more than usual",
  description: `Of the last ${MAX_PATTERN_EVENTS} events of the filter. A burst is a time with more events in \`burst_window_s\` than their mean and \`sigma\` standard deviations.`,
  access: "device.read",
  query: Type.Object(
    {
      ...EventFilters,
      window_s: Seconds(PRESET.window_s, "Within how many seconds one has to follow the other"),
      burst_window_s: Seconds(PRESET.burst_window_s, "How many seconds are counted together"),
      sigma: Type.Optional(Type.Number({ minimum: 0.5, maximum: 20, default: PRESET.sigma })),
    },
    { additionalProperties: false },
  ),
  replies: {
    200: {
      description: "The patterns, and over what they speak",
      schema: Type.Object(
        {
          events: Type.Integer(),
          truncated: Type.Boolean({ description: "There are older ones" }),
          first_at: nullable("string"),
          last_at: nullable("string"),
          frequency: Type.Array(FrequencyView, { maxItems: MAX_FREQUENCIES, description: "Most first" }),
          sequences: Type.Array(SequenceView, {
            maxItems: MAX_SEQUENCES,
            description: `Most first; between the ${MAX_SEQUENCE_TYPES} most frequent types, twice at least`,
          }),
          bursts: Type.Array(BurstView, { maxItems: MAX_BURSTS, description: "The largest ones, by time" }),
        },
        { title: "EventPatterns" },
      ),
    },
  },
  async handler({ context, scope, query }) {
    const { window_s, burst_window_s, sigma } = { ...PRESET, ...query };
    const { events, isTruncated } = await recentEvents(context.store.db, scope, filterOf(query));
    const times = events.map(({ at }) => at);
    return {
      status: 200,
      body: {
        events: events.length,
        truncated: isTruncated,
        first_at: instantOf(times.reduce<number | undefined>((least, at) => (least === undefined || at < least ? at : least), undefined)),
        last_at: instantOf(times.reduce<number | undefined>((most, at) => (most === undefined || at > most ? at : most), undefined)),
        frequency: frequencies(events).map(({ type, count, meanMs, medianMs, regularity }) => ({
          type,
          count,
          mean_interval_ms: meanMs,
          median_interval_ms: medianMs,
          regularity,
        })),
        sequences: sequences(events, window_s * 1_000).map(({ medianDelayMs, ...rest }) => ({ ...rest, median_delay_ms: medianDelayMs })),
        bursts: bursts(events, burst_window_s * 1_000, sigma).map(({ start, end, count }) => ({
          start: new Date(start).toISOString(),
          end: new Date(end).toISOString(),
          count,
        })),
      },
    };
  },
});

const instantOf = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
