import type { Bus, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { ApprovalPolicy } from "../core/risk-policy.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
import type { Db } from "./open.ts";
import { defaultPolicy, readPolicies } from "./risk-policies.ts";

/** What needs approval in each organisation, in memory: every command is judged by it. */
export interface RiskPolicyDirectory extends AsyncDisposable {
  of(organizationId: string): ApprovalPolicy;
  /** The database says something else of this organisation now: resolves when it holds here; on other nodes within a second. */
  changed(organizationId: string): Promise<void>;
  /** From now on this directory and those of the other nodes follow each other's changes. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

export async function loadRiskPolicyDirectory(db: Db, log: Log): Promise<RiskPolicyDirectory> {
  const byOrganization: Map<string, ApprovalPolicy> = await readPolicies(db);
  let announce = (_organizationId: string): void => {};
  const rows = new ChangedRows<ApprovalPolicy>({
    what: "changed risk policies",
    read: (organizationIds) => readPolicies(db, organizationIds),
    known: () => byOrganization.keys(),
    apply(organizationId, policy) {
      if (policy) byOrganization.set(organizationId, policy);
      else byOrganization.delete(organizationId);
    },
    log,
  });
  return {
    of: (organizationId) => byOrganization.get(organizationId) ?? defaultPolicy(organizationId),
    async changed(organizationId) {
      rows.note(organizationId);
      announce(organizationId);
      await rows.settled();
    },
    share({ bus, log: sharedLog }) {
      const sharing = shareChanges(rows, { bus, log: sharedLog, topic: HUB_TOPICS.riskPolicies });
      announce = (organizationId) => sharing.announce(organizationId);
      return { reload: () => rows.reload(), [Symbol.dispose]: () => sharing[Symbol.dispose]() };
    },
    [Symbol.asyncDispose]: () => rows[Symbol.asyncDispose](),
  };
}
