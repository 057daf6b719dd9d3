import { mergePatch } from "../core/merge-patch.ts";
import type { Actor } from "../core/principal.ts";
import { APPROVAL_DEFAULTS, type ApprovalPolicy, DEFAULT_RISK_POLICY, type RiskPolicy } from "../core/risk-policy.ts";
import type { Db } from "./open.ts";
import { lockOrganization } from "./organizations.ts";
import { fromJson, idsParameter, isoOf, rowsOf, toJson } from "./sql.ts";

export type ApprovalPolicyFields = Pick<ApprovalPolicy, "risk" | "fourEyes" | "pinRequired" | "approvalTimeoutS">;

/** Of an organisation that has set nothing. */
export function defaultPolicy(organizationId: string): ApprovalPolicy {
  return { organizationId, version: 0, risk: DEFAULT_RISK_POLICY, ...APPROVAL_DEFAULTS, updatedAt: null, updatedBy: null };
}

/** What the database says now. Whoever decides by the directory compares the version with this one, in the transaction of what is decided. */
export async function currentPolicy(db: Db, organizationId: string): Promise<ApprovalPolicy> {
  return (await readPolicies(db, [organizationId])).get(organizationId) ?? defaultPolicy(organizationId);
}

/** As {@link currentPolicy}, until the transaction ends. */
export async function lockPolicy(trx: Db, organizationId: string): Promise<ApprovalPolicy> {
  // There may be no row yet.
  await lockOrganization(trx, organizationId);
  return await currentPolicy(trx, organizationId);
}

/** It has to be locked. */
export async function putPolicy(
  trx: Db,
  { organizationId, version }: ApprovalPolicy,
  { risk, fourEyes, pinRequired, approvalTimeoutS }: ApprovalPolicyFields,
  { actor, now }: { readonly actor: Actor; readonly now: number },
): Promise<ApprovalPolicy> {
  const { threshold, ...policy } = risk;
  const row = {
    version: version + 1,
    policy: toJson(policy),
    threshold,
    four_eyes: fourEyes,
    pin_required: pinRequired,
    approval_timeout_s: approvalTimeoutS,
    actor_kind: actor.kind,
    actor_id: actor.id,
    updated_at: isoOf(now),
  };
  await trx("risk_policies")
    .insert({ organization_id: organizationId, ...row })
    .onConflict("organization_id")
    .merge(row);
  return await currentPolicy(trx, organizationId);
}

/** Those that were set, by organisation; of these, or of all. */
export async function readPolicies(db: Db, organizationIds?: readonly string[]): Promise<Map<string, ApprovalPolicy>> {
  const rows = await rowsOf<PolicyRow>(
    db,
    `select * from risk_policies ${organizationIds ? `where organization_id in ${idsParameter(db)}` : ""}`,
    organizationIds ? [toJson(organizationIds)] : [],
  );
  return new Map(rows.map((row) => [row.organization_id, policyOf(row)]));
}

interface PolicyRow {
  organization_id: string;
  version: number;
  policy: unknown;
  threshold: number;
  four_eyes: boolean | number;
  pin_required: boolean | number;
  approval_timeout_s: number;
  actor_kind: Actor["kind"];
  actor_id: string;
  updated_at: string;
}

function policyOf(row: PolicyRow): ApprovalPolicy {
  const stored = { ...(fromJson(row.policy) as object), threshold: row.threshold };
  return {
    organizationId: row.organization_id,
    version: row.version,
    // What it was written without, by an older hub, is as the default says.
    risk: mergePatch(DEFAULT_RISK_POLICY, stored) as RiskPolicy,
    fourEyes: Boolean(row.four_eyes),
    pinRequired: Boolean(row.pin_required),
    approvalTimeoutS: row.approval_timeout_s,
    updatedAt: row.updated_at,
    updatedBy: { kind: row.actor_kind, id: row.actor_id },
  };
}
