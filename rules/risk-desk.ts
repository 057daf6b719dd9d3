import { boundedCache } from "../core/bounded-cache.ts";
import { PLATFORM } from "../core/principal.ts";
import { assess, type RecentCommandMemory, type Risk } from "../core/risk.ts";
import type { ApprovalPolicy } from "../core/risk-policy.ts";
import type { NewTask } from "../core/task.ts";
import type { Db } from "../store/open.ts";
import { currentPolicy } from "../store/risk-policies.ts";
import { getSite } from "../store/sites.ts";
import { afterCommit } from "../store/transaction.ts";

/** What is judged. */
export type Judged = Pick<NewTask, "organizationId" | "device" | "actions" | "actor" | "source">;

export interface RiskDeskContext {
  readonly db: Db;
  readonly policies: { of(organizationId: string): ApprovalPolicy };
  readonly recent: RecentCommandMemory;
  /** Other nodes work on the same database. */
  readonly isShared: boolean;
  /** ms since 1970 */
  readonly clock: () => number;
}

/** On what terms somebody approves. */
export interface ApprovalTerms {
  readonly isFourEyes: boolean;
  readonly needsPin: boolean;
  readonly timeoutMs: number;
}

const ZONES_KEPT = 2_000;

/** How risky something is that is asked of a device, by the policy of its organisation. */
export class RiskDesk {
  readonly #context: RiskDeskContext;
  /** Of sites. */
  readonly #zones = boundedCache<string>(ZONES_KEPT, { ttlMs: 60_000, ttlResolutionMs: 1_000 });

  constructor(context: RiskDeskContext) {
    this.#context = context;
  }

  /** A single command on its way. What is let through counts for the next one. */
  async judge(judged: Judged): Promise<Risk> {
    const { db, policies, isShared, recent, clock } = this.#context;
    const { organizationId } = judged;
    // Another node may have changed it, and this one not have heard yet.
    const policy = isShared ? await currentPolicy(db, organizationId) : policies.of(organizationId);
    const risk = await this.#assess(db, policy, judged);
    if (!risk.isHigh) recent.note(judged.actor, judged.device.id, clock());
    return risk;
  }

  /** A task that is made: by what the database says now. What is let through counts for the next one, each of its actions. */
  async assess(trx: Db, judged: Judged): Promise<Risk> {
    const { recent, clock } = this.#context;
    const { actor, device, actions } = judged;
    const risk = await this.#assess(trx, await currentPolicy(trx, judged.organizationId), judged);
    if (!risk.isHigh) afterCommit(trx, () => actions.forEach(() => recent.note(actor, device.id, clock())));
    return risk;
  }

  async termsOf(trx: Db, organizationId: string): Promise<ApprovalTerms> {
    const { fourEyes, pinRequired, approvalTimeoutS } = await currentPolicy(trx, organizationId);
    return { isFourEyes: fourEyes, needsPin: pinRequired, timeoutMs: approvalTimeoutS * 1_000 };
  }

  async #assess(db: Db, { risk }: ApprovalPolicy, { device, actions, actor, source }: Judged): Promise<Risk> {
    const { recent, clock } = this.#context;
    const now = clock();
    return assess(risk, {
      actions,
      device: { uid: device.uid, class: device.deviceClass, sensitivity: device.sensitivity, siteId: device.siteId },
      actor,
      source,
      now,
      timeZone: await this.#zoneOf(db, device.siteId),
      recent: recent.of(actor, device.id, now),
    });
  }

  async #zoneOf(db: Db, siteId: string | null): Promise<string | null> {
    if (siteId === null) return null;
    const known = this.#zones.get(siteId);
    if (known !== undefined) return known;
    const { timeZone } = await getSite(db, PLATFORM, siteId);
    this.#zones.set(siteId, timeZone);
    return timeZone;
  }
}
