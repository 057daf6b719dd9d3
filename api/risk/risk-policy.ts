import Type, { type Static } from "typebox";
import { mergePatchOf } from "../../core/merge-patch.ts";
import { actorOf } from "../../core/principal.ts";
import { APPROVAL_DEFAULTS, type ApprovalPolicy, parseRiskPolicy, RiskPolicy } from "../../core/risk-policy.ts";
import { versionOf } from "../../core/version.ts";
import { currentPolicy, lockPolicy, putPolicy } from "../../store/risk-policies.ts";
import { nullable } from "../fields.ts";
import { auditedValue } from "../settings/service-settings.ts";
import { defineRoute } from "../route.ts";

const { threshold, time_zone, weights, rules } = RiskPolicy.properties;
const FIELDS = {
  threshold,
  time_zone,
  four_eyes: Type.Boolean({ description: "Nobody approves what they have asked for themselves" }),
  pin_required: Type.Boolean({ description: "Approving takes the approver's PIN" }),
  approval_timeout_s: Type.Integer({ minimum: 60, maximum: 604_800, description: "What is not approved by then is cancelled" }),
  weights,
  rules,
};
const Fields = Type.Object(FIELDS, { additionalProperties: false });

const PolicyView = Type.Object(
  {
    version: Type.Integer({ description: "0 for the default" }),
    ...FIELDS,
    updated_at: nullable("string"),
    updated_by: Type.Unsafe<ApprovalPolicy["updatedBy"]>({
      anyOf: [Type.Object({ kind: Type.String(), id: Type.String() }), { type: "null" }],
    }),
  },
  { title: "RiskPolicy" },
);

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/risk-policy",
  tag: "Approvals",
  summary: "What needs approval in your organisation",
  description: "The default, of version 0, until somebody sets another one. docs/approvals.md tells how commands are judged.",
  access: "member.read",
  replies: { 200: { description: "The policy", schema: PolicyView } },
  handler: async ({ context, principal }) => answerOf(await currentPolicy(context.store.db, principal.organizationId)),
});

export const put = defineRoute({
  method: "PUT",
  path: "/api/v1/risk-policy",
  tag: "Approvals",
  summary: "Say what needs approval in your organisation",
  description:
    "What is left out is as in the default. It holds from the answer on, on every node; what waits for an approval already goes on waiting.",
  access: "organization.manage",
  match: "required",
  body: Type.Unsafe<Partial<Static<typeof Fields>>>({ ...mergePatchOf(Fields), title: "RiskPolicyChange" }),
  bodyExample: {
    threshold: 60,
    four_eyes: true,
    rules: [
      { name: "The garage by night", match: { devices: ["relay-k3m9x2q7"], time_window: { from: "22:00", to: "06:00" } }, points: 60 },
    ],
  },
  replies: { 200: { description: "As it is now", schema: PolicyView } },
  handler({ context, principal, body, match, commit }) {
    const {
      four_eyes: fourEyes = APPROVAL_DEFAULTS.fourEyes,
      pin_required: pinRequired = APPROVAL_DEFAULTS.pinRequired,
      approval_timeout_s: approvalTimeoutS = APPROVAL_DEFAULTS.approvalTimeoutS,
      ...parts
    } = body;
    const fields = { risk: parseRiskPolicy(parts), fourEyes, pinRequired, approvalTimeoutS };
    const { organizationId } = principal;
    return commit(async (db) => {
      const before = await lockPolicy(db, organizationId);
      match(policyVersion(before));
      const after = await putPolicy(db, before, fields, { actor: actorOf(principal), now: context.clock() });
      return {
        answer: answerOf(after),
        audit: [
          {
            organizationId,
            action: "risk_policy.put",
            resourceType: "risk_policy",
            resourceId: organizationId,
            details: { version: after.version, ...changesOf(before, after) },
            before: policyJson(before),
            after: policyJson(after),
          },
        ],
        afterwards: () => context.riskPolicies.changed(organizationId),
      };
    });
  },
});

const answerOf = (policy: ApprovalPolicy) => ({ status: 200, version: policyVersion(policy), body: policyJson(policy) });

const policyVersion = ({ organizationId, version }: ApprovalPolicy): string => versionOf([organizationId, version]);

function fieldsJson({ risk, fourEyes, pinRequired, approvalTimeoutS }: ApprovalPolicy): Static<typeof Fields> {
  return { ...risk, four_eyes: fourEyes, pin_required: pinRequired, approval_timeout_s: approvalTimeoutS };
}

function policyJson(policy: ApprovalPolicy): Record<string, unknown> {
  return { version: policy.version, ...fieldsJson(policy), updated_at: policy.updatedAt, updated_by: policy.updatedBy };
}

/** Of each field that is another one now, both values. */
function changesOf(before: ApprovalPolicy, after: ApprovalPolicy): Record<"before" | "after", Record<string, unknown>> {
  const [old, now] = [fieldsJson(before), fieldsJson(after)];
  const changed = (Object.keys(FIELDS) as (keyof typeof FIELDS)[]).filter((name) => versionOf(old[name]) !== versionOf(now[name]));
  const of = (fields: Static<typeof Fields>) => Object.fromEntries(changed.map((name) => [name, auditedValue(fields[name])]));
  return { before: of(old), after: of(now) };
}
