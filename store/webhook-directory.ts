import type { Bus, Log } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { WebhookTarget } from "../core/webhook.ts";
import { ChangedRows, shareChanges } from "./changed-rows.ts";
import type { Db } from "./open.ts";
import { readTargets } from "./webhooks.ts";

/** Which events each organisation's webhooks want, in memory: every event is looked at. */
export interface WebhookDirectory extends AsyncDisposable {
  /** The active ones. */
  of(organizationId: string): readonly WebhookTarget[];
  /** The database says something else of these organisations now: resolves when it holds here; on other nodes within a second. */
  changed(organizationIds: readonly string[]): Promise<void>;
  /** From now on this directory and those of the other nodes follow each other's changes. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

const NONE: readonly WebhookTarget[] = [];

export async function loadWebhookDirectory(db: Db, log: Log): Promise<WebhookDirectory> {
  const byOrganization: Map<string, readonly WebhookTarget[]> = await readTargets(db);
  let announce = (_organizationId: string): void => {};
  const rows = new ChangedRows<readonly WebhookTarget[]>({
    what: "changed webhooks",
    read: (organizationIds) => readTargets(db, organizationIds),
    known: () => byOrganization.keys(),
    apply(organizationId, targets) {
      if (targets) byOrganization.set(organizationId, targets);
      else byOrganization.delete(organizationId);
    },
    log,
  });
  return {
    of: (organizationId) => byOrganization.get(organizationId) ?? NONE,
    async changed(organizationIds) {
      for (const organizationId of organizationIds) rows.note(organizationId);
      for (const organizationId of organizationIds) announce(organizationId);
      await rows.settled();
    },
    share({ bus, log: sharedLog }) {
      const sharing = shareChanges(rows, { bus, log: sharedLog, topic: HUB_TOPICS.webhooks });
      announce = (organizationId) => sharing.announce(organizationId);
      return { reload: () => rows.reload(), [Symbol.dispose]: () => sharing[Symbol.dispose]() };
    },
    [Symbol.asyncDispose]: () => rows[Symbol.asyncDispose](),
  };
}
