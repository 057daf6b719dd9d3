import Type, { type Static } from "typebox";
import { type Definition, parseDefinition } from "../../core/automation.ts";
import { devicesOfCondition, DeviceUid, SensorKey } from "../../core/condition.ts";
import { HubError } from "../../core/errors.ts";
import { SensorValue } from "../../core/payloads.ts";
import { replay, type Signal, type Verdict } from "../../core/replay.ts";
import { eventTypesOf } from "../../core/trigger.ts";
import { getAutomation } from "../../store/automations.ts";
import { listEvents } from "../../store/events.ts";
import { readFacts } from "../../store/facts.ts";
import { IdParams, Instant, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";

const MOST_SIGNALS = 1_000;

const GivenEvent = Type.Object(
  {
    kind: Type.Literal("event"),
    type: Type.String({ minLength: 1, maxLength: 100 }),
    data: Type.Record(Type.String({ maxLength: 100 }), Type.Unknown()),
    at: Type.Optional(Instant),
  },
  { additionalProperties: false, title: "TrialEvent" },
);
const GivenReading = Type.Object(
  { kind: Type.Literal("reading"), device: DeviceUid, key: SensorKey, value: SensorValue, at: Type.Optional(Instant) },
  { additionalProperties: false, title: "TrialReading" },
);
const Given = Type.Unsafe<Static<typeof GivenEvent> | Static<typeof GivenReading>>({
  type: "object",
  title: "TrialSignal",
  discriminator: { propertyName: "kind" },
  oneOf: [GivenEvent, GivenReading],
});

const Result = Type.Object(
  {
    signals: Type.Integer({ description: "How many were looked at" }),
    fired: Type.Integer(),
    results: Type.Array(
      Type.Object({
        at: Type.String(),
        signal: Type.Record(Type.String(), Type.Unknown()),
        trigger: Type.Integer({ description: "Its place among the triggers" }),
        values: Type.Record(Type.String(), Type.Unknown()),
        fires: Type.Boolean(),
        reason: Type.Unsafe<string | null>({
          type: ["string", "null"],
          description: "Why not: duplicate, cooldown, condition, or held: it would have had to last longer",
        }),
        findings: Type.Array(Type.Object({ path: Type.String(), met: Type.Boolean(), value: Type.Unknown() })),
      }),
    ),
  },
  { title: "AutomationTrial" },
);

export const trial = defineRoute({
  method: "POST",
  path: "/api/v1/automations/:id/test",
  tag: "Automations",
  summary: "What an automation would have done, without doing it",
  description:
    "Held against the last events of the organisation that its triggers listen to, or against those given, readings too. Conditions about devices see them as they are now. Nothing is changed.",
  access: "automation.read",
  params: IdParams,
  body: Type.Object(
    {
      last: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST_SIGNALS, description: "Events; 100 without it" })),
      signals: Type.Optional(
        Type.Array(Given, { minItems: 1, maxItems: MOST_SIGNALS, description: "Instead of those that happened, in their order" }),
      ),
    },
    { additionalProperties: false, title: "AutomationTrialRequest" },
  ),
  bodyExample: { last: 200 },
  replies: { 200: { description: "What each signal that a trigger listens to would have meant", schema: Result } },
  errors: ["not_found"],
  async handler({ context, scope, params, body }) {
    const { db } = context.store;
    if (body.last !== undefined && body.signals !== undefined)
      throw new HubError("validation_error", "/signals stands alone", {
        details: [{ path: "/signals", message: "stands alone, without last" }],
      });
    const automation = await getAutomation(db, scope, params.id.toLowerCase());
    const definition = parseDefinition(automation.definition as never);
    const { organizationId } = automation;
    const signals = body.signals
      ? givenSignals(body.signals, context.clock())
      : await lastSignals(db, organizationId, definition, body.last ?? 100);
    const uids = definition.condition ? devicesOfCondition(definition.condition, "").map(({ device }) => device) : [];
    const timeZone = definition.timeZone ?? automation.timeZone ?? "UTC";
    const facts = await readFacts(db, organizationId, uids, { now: context.clock(), timeZone, trigger: {} });
    const verdicts = replay(definition, signals, (at, trigger) => ({ ...facts, now: at, trigger }));
    return {
      status: 200,
      body: { signals: signals.length, fired: verdicts.filter(({ fires }) => fires).length, results: verdicts.map(verdictJson) },
    };
  },
});

function givenSignals(given: readonly Static<typeof Given>[], now: number): Signal[] {
  let at = now;
  return given.map((one, index) => {
    const stated = one.at === undefined ? at : parseInstant(one.at, `signals/${index}/at`);
    if (stated < at && index > 0)
      throw new HubError("validation_error", `/signals/${index}/at is before the one before it`, {
        details: [{ path: `/signals/${index}/at`, message: "is before the one before it" }],
      });
    at = stated;
    if (one.kind === "reading") return { kind: "reading", at, device: one.device, key: one.key, value: one.value };
    return { kind: "event", at, event: { id: "", type: one.type as never, entityId: null, data: one.data } };
  });
}

/** Oldest first, of the types that its triggers listen to. */
async function lastSignals(
  db: Parameters<typeof listEvents>[0],
  organizationId: string,
  { triggers }: Definition,
  limit: number,
): Promise<Signal[]> {
  const types = [...new Set(triggers.flatMap(eventTypesOf))];
  const scope = { kind: "organization", organizationId } as const;
  const found = [];
  for (const type of types) found.push(...(await listEvents(db, scope, { limit, types: [type] })).items);
  return found
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .slice(-limit)
    .map((event) => ({ kind: "event", at: Date.parse(event.timestamp), event }));
}

function verdictJson({ at, signal, triggerIndex, ...verdict }: Verdict): Record<string, unknown> {
  const { at: signalAt, ...rest } = signal;
  return { ...verdict, at: new Date(at).toISOString(), signal: { ...rest, at: new Date(signalAt).toISOString() }, trigger: triggerIndex };
}
