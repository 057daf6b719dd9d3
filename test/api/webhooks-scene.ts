import assert from "node:assert/strict";
import { newEvent } from "../../core/event.ts";
import type { EventType, HubEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";
import { insertEvents } from "../../store/events.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import type { TestDatabase } from "../support/databases.ts";
import { type HookReceiver, startHookReceiver } from "../support/hook-receiver.ts";
import { until } from "../support/wait.ts";
import { type Answered, startTestApi, type TestApi } from "./test-api.ts";
import type { GateLimits } from "../../bridges/webhooks/gate.ts";

type Person = Awaited<ReturnType<TestApi["member"]>>;

export interface MadeWebhook {
  readonly id: string;
  readonly secret: string;
  readonly etag: string;
}

export interface WebhookScene extends AsyncDisposable {
  readonly hub: TestApi;
  readonly owner: Person;
  readonly ask: (method: string, below: string, body?: object, headers?: Record<string, string>) => Promise<Answered>;
  readonly receiver: () => Promise<HookReceiver>;
  readonly webhook: (url: string, more?: object) => Promise<MadeWebhook>;
  /** Something happens in the owner's organisation; all of it in one transaction. */
  readonly happen: (
    type: EventType,
    more?: { count?: number; entityId?: string | null; organizationId?: string; data?: object },
  ) => Promise<HubEvent[]>;
  readonly deliveries: (id: string) => Promise<Record<string, unknown>[]>;
  /** Resolves when nothing of the webhook waits and so many have ended. */
  readonly ended: (id: string, count: number) => Promise<Record<string, unknown>[]>;
  /** What waits for a time is due now. */
  readonly skipWaits: () => Promise<void>;
}

export async function openWebhookScene(database: TestDatabase, gate?: Partial<GateLimits>): Promise<WebhookScene> {
  await using stack = new AsyncDisposableStack();
  const receivers = stack.use(new AsyncDisposableStack());
  const allowed = { outboundAllow: ["127.0.0.1/32"] };
  const hub = stack.use(await startTestApi(gate === undefined ? allowed : { ...allowed, gate }, database.url));
  const owner = await hub.member();
  const { db } = hub.context.store;
  const ask: WebhookScene["ask"] = (method, below, body, headers = {}) =>
    hub.ask(method, `/api/v1${below}`, { token: owner.token, headers, ...(body === undefined ? {} : { body }) });
  const deliveries: WebhookScene["deliveries"] = async (id) =>
    (await ask("GET", `/webhooks/${id}/deliveries?limit=200`)).json["data"] as Record<string, unknown>[];
  const owned = stack.move();
  return {
    hub,
    owner,
    ask,
    receiver: async () => receivers.use(await startHookReceiver()),
    async webhook(url, more = {}) {
      const made = await ask("POST", "/webhooks", { name: "Pager", url, events: ["*"], ...more });
      assert.equal(made.status, 201, made.text);
      const { id } = made.json["webhook"] as { id: string };
      return { id, secret: made.json["secret"] as string, etag: made.headers.get("etag") as string };
    },
    async happen(type, { count = 1, entityId = null, organizationId = owner.organizationId, data = {} } = {}) {
      const events = Array.from({ length: count }, (_, index) =>
        newEvent(type, { organizationId, entityId, actor: SYSTEM, now: Date.now() }, { index, ...data }),
      );
      await inTransaction(db, (trx) => insertEvents(trx, events));
      return events;
    },
    deliveries,
    async ended(id, count) {
      return await until(
        async () => {
          const all = await deliveries(id);
          return all.length >= count && all.every(({ status }) => status !== "pending") && all;
        },
        { what: `${count} deliveries that ended`, timeoutMs: 20_000 },
      );
    },
    async skipWaits() {
      const now = new Date(hub.context.timers.now() - 1).toISOString();
      await rowsOf(db, "update webhook_deliveries set next_attempt_at = ? where status = 'pending'", [now]);
      const [one] = await rowsOf<{ webhook_id: string; organization_id: string }>(
        db,
        "select webhook_id, organization_id from webhook_deliveries where status = 'pending' limit 1",
      );
      if (!one) return;
      await inTransaction(db, (trx) =>
        hub.context.timers.put(trx, [
          {
            kind: "webhook_delivery",
            key: crypto.randomUUID(),
            organizationId: one.organization_id,
            dueAt: hub.context.timers.now(),
            isRelative: true,
            payload: { webhook: one.webhook_id },
          },
        ]),
      );
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
