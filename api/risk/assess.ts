import Type from "typebox";
import { Command, COMMAND_SOURCES } from "../../core/command.ts";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { assess } from "../../core/risk.ts";
import { readRiskSubject } from "../../store/risk-subjects.ts";
import { deviceFor } from "../devices/device-for.ts";
import { DeviceReference, Instant, parseInstant } from "../fields.ts";
import { defineRoute } from "../route.ts";

const Assessment = Type.Object(
  {
    score: Type.Integer({ minimum: 0, maximum: 100 }),
    threshold: Type.Integer(),
    is_high: Type.Boolean({ description: "It would have to be approved" }),
    reasons: Type.Array(Type.Object({ rule: Type.String(), points: Type.Integer(), text: Type.String() }, { title: "RiskReason" }), {
      description: "What decides by itself first, then the heaviest; their points make the score, which is cut to 0 to 100",
    }),
    policy_version: Type.Integer({ description: "Nodes hear of another one within a second" }),
    recent: Type.Object(
      {
        by_actor_in_minute: Type.Integer(),
        by_device_in_minute: Type.Integer(),
        failed_in_hour: Type.Integer(),
        is_first_from_actor: Type.Boolean(),
      },
      { description: "As the node knows it that was asked" },
    ),
  },
  { title: "RiskAssessment" },
);

export const assessRisk = defineRoute({
  method: "POST",
  path: "/api/v1/risk-policy/assess",
  tag: "Approvals",
  summary: "Whether commands would have to be approved, and why",
  description:
    "Nothing is done, and nothing is counted. `at` and `source` say when and over what they would be asked: without them now, and here.",
  access: "device.control",
  idempotent: false,
  body: Type.Object(
    {
      device: DeviceReference,
      actions: Type.Array(Command, { minItems: 1, maxItems: 50 }),
      source: Type.Optional(Type.Enum([...COMMAND_SOURCES])),
      at: Type.Optional(Instant),
    },
    { additionalProperties: false, title: "RiskQuestion" },
  ),
  bodyExample: { device: "relay-k3m9x2q7", actions: [{ command: "restart" }] },
  replies: { 200: { description: "The judgement", schema: Assessment } },
  errors: ["not_found", "device_not_claimed"],
  async handler({ context, principal, rights, body }) {
    const { db } = context.store;
    const device = await deviceFor(rights, "device.control", db, body.device);
    if (device.organizationId === null) throw new HubError("device_not_claimed", "the device belongs to nobody");
    const policy = context.riskPolicies.of(device.organizationId);
    const actor = actorOf(principal);
    const recent = context.recentCommands.of(actor, device.id, context.clock());
    const now = body.at === undefined ? context.clock() : parseInstant(body.at, "at");
    const subject = await readRiskSubject(db, device);
    const risk = assess(policy.risk, { ...subject, actions: body.actions, actor, source: body.source ?? "rest", now, recent });
    return {
      status: 200,
      body: {
        score: risk.score,
        threshold: risk.threshold,
        is_high: risk.isHigh,
        reasons: risk.reasons,
        policy_version: policy.version,
        recent: {
          by_actor_in_minute: recent.byActorInMinute,
          by_device_in_minute: recent.byDeviceInMinute,
          failed_in_hour: recent.failedInHour,
          is_first_from_actor: recent.isFirstFromActor,
        },
      },
    };
  },
});
