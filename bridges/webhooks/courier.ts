import type { EventSink, Log, Metrics } from "../../core/bus.ts";
import { ForbiddenDestination } from "../../core/destination.ts";
import { type HubEvent, toCloudEvent } from "../../core/event.ts";
import type { Timer, Timers } from "../../core/timer.ts";
import { newId } from "../../core/id.ts";
import { signedHeaders } from "../../core/webhook-signature.ts";
import { type Encryption, UnreadableText } from "../../store/encryption.ts";
import { findEvents } from "../../store/events.ts";
import type { Db } from "../../store/open.ts";
import { isoOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import {
  claimDeliveries,
  type Delivery,
  dropPending,
  endDelivery,
  expireDeliveries,
  webhooksWithDue,
} from "../../store/webhook-deliveries.ts";
import type { WebhookDirectory } from "../../store/webhook-directory.ts";
import { noteCaughtUp } from "../../store/webhook-overflows.ts";
import { findSender, type Sender } from "../../store/webhooks.ts";
import { type Outbound, OutboundError } from "../outbound/outbound.ts";
import { Gate, GATE_LIMITS, type GatedWebhook, type GateLimits } from "./gate.ts";
import { type Noted, noteResult, noteUntried, timerOf } from "./results.ts";
import { type Outcome, verdictOf } from "./verdict.ts";

export interface CourierContext {
  readonly db: Db;
  readonly timers: Timers<Db>;
  readonly encryption: Encryption;
  readonly outbound: Outbound;
  readonly directory: Pick<WebhookDirectory, "changed">;
  readonly events: EventSink;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: Partial<GateLimits>;
}

/** Longer than a request may take: what a node that died was sending is sent again after it. */
const LEASE_MS = 45_000;
/** What waits and was forgotten, since its node died, is found by then. */
const BACKUP_MS = 30_000;
/** What is under way when the hub stops may still get through. */
const GRACE_MS = 2_000;
const NO_ATTEMPT = { responseStatus: null, error: null, latencyMs: null } as const;

interface Parcel {
  readonly delivery: Delivery;
  readonly sender: Sender;
  readonly event: HubEvent | undefined;
  /** By a clock that nobody sets, while a request is under way: when it was claimed, and for how long from then on it is worth sending. */
  readonly claimedAt: number;
  readonly leftMs: number;
}

/** Sends what is due, on every node: rows are the queue, and the memory holds no more than what is under way. */
export class Courier implements AsyncDisposable {
  readonly #context: CourierContext;
  readonly #gate: Gate;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #isClosing = false;

  constructor(context: CourierContext) {
    this.#context = context;
    this.#gate = new Gate({ ...GATE_LIMITS, ...context.limits });
  }

  /** Timers of a webhook for which something is due leave one behind, for the case that this node dies before it is sent. */
  async onTimers(trx: Db, fired: readonly Timer[], now: number): Promise<() => void> {
    const { timers } = this.#context;
    const ofWebhooks = Map.groupBy(fired, ({ payload }) => String(payload["webhook"]));
    const due = await webhooksWithDue(trx, [...ofWebhooks.keys()], now);
    const found = [...ofWebhooks].flatMap(([id, [timer]]) => (timer && due.has(id) ? [{ id, timer }] : []));
    // Under a key of its own: that of a delivery goes with the delivery, whatever else waits.
    const later = (id: string): number => now + Math.max(BACKUP_MS, this.#gate.closedForMs(id));
    await timers.put(
      trx,
      found.map(({ id, timer }) => ({ ...timer, key: newId(), isRelative: true, dueAt: later(id) })),
    );
    return () => this.#wake(found.map(({ id, timer }) => ({ id, organizationId: timer.organizationId ?? "" })));
  }

  /** What is under way ends, or is put back for the next start and the other nodes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    const late = setTimeout(() => this.#stopping.abort(), GRACE_MS);
    while (this.#running.size > 0) await Promise.all(this.#running);
    clearTimeout(late);
  }

  #wake(webhooks: readonly GatedWebhook[]): void {
    for (const webhook of webhooks) this.#gate.ask(webhook);
    this.#pump();
  }

  #pump(): void {
    while (!this.#isClosing) {
      const admitted = this.#gate.admit();
      if (!admitted) return;
      const work = this.#work(admitted.webhook, admitted.places).finally(() => this.#running.delete(work));
      this.#running.add(work);
    }
  }

  async #work(webhook: GatedWebhook, places: number): Promise<void> {
    const { log } = this.#context;
    const parcels = await this.#claim(webhook.id, places).catch((error: unknown) => {
      log.error({ err: error, webhook_id: webhook.id }, "messages to a webhook could not be read; it is tried again");
      return [];
    });
    // All that it asked for: there may be more.
    if (parcels.length === places) this.#gate.ask(webhook);
    this.#gate.release(webhook, places - parcels.length);
    this.#pump();
    await Promise.all(
      parcels.map(async (parcel) => {
        await this.#deliver(parcel).catch((error: unknown) =>
          // Its lease ends, and it is sent again.
          log.error({ err: error, delivery_id: parcel.delivery.id }, "what became of a message to a webhook could not be noted"),
        );
        this.#gate.release(webhook, 1);
        this.#pump();
      }),
    );
  }

  async #claim(webhookId: string, limit: number): Promise<Parcel[]> {
    const { db, timers, encryption, metrics, log } = this.#context;
    const ended = new Map<string, number>();
    const parcels = await inTransaction(db, async (trx) => {
      ended.clear();
      const now = timers.now();
      await noteCaughtUp(trx, webhookId, now);
      for (const [status, count] of await expireDeliveries(trx, webhookId, now)) ended.set(status, count);
      const sender = await findSender(trx, encryption, webhookId, now).catch((error: unknown) => {
        if (!(error instanceof UnreadableText)) throw error;
        log.error({ err: error, webhook_id: webhookId }, "the secret of a webhook cannot be read: give it another one");
        return "unreadable" as const;
      });
      if (sender === "unreadable") return [];
      if (sender === undefined) {
        ended.set("dropped", (ended.get("dropped") ?? 0) + (await dropPending(trx, webhookId, now)));
        return [];
      }
      const heldUntil = now + LEASE_MS;
      const claimed = await claimDeliveries(trx, webhookId, { now, heldUntil, limit });
      await timers.put(
        trx,
        claimed.map((delivery) => timerOf(delivery, heldUntil)),
      );
      const events = await findEvents(
        trx,
        claimed.map(({ eventId }) => eventId),
      );
      const claimedAt = performance.now();
      return claimed.map((delivery) => {
        const { eventId, expiresAt } = delivery;
        return { delivery, sender, event: events.get(eventId), claimedAt, leftMs: Date.parse(expiresAt) - now };
      });
    });
    for (const [status, count] of ended) metrics.count("hexahub_webhook_deliveries_total", { status }, count);
    return parcels;
  }

  async #deliver({ delivery, sender, event, claimedAt, leftMs }: Parcel): Promise<void> {
    const { db, timers, metrics } = this.#context;
    if (event === undefined) {
      const attempt = { ...NO_ATTEMPT, error: "the event is not kept any more" };
      await inTransaction(db, async (trx) => {
        await endDelivery(trx, delivery.id, { status: "dropped", attempt, now: timers.now() });
        await timers.drop(trx, "webhook_delivery", [delivery.id]);
      });
      return metrics.count("hexahub_webhook_deliveries_total", { status: "dropped" });
    }
    const started = performance.now();
    const outcome = await this.#gate.attempt(
      sender.id,
      () => this.#send(delivery, sender, event),
      (one) => one !== "stopped" && !isSuccess(one),
    );
    const now = timers.now();
    if (outcome === undefined || outcome === "stopped") {
      const at = now + this.#gate.closedForMs(sender.id);
      return await inTransaction(db, (trx) => noteUntried(trx, timers, delivery, at));
    }
    const latencyMs = performance.now() - started;
    metrics.observe("hexahub_webhook_delivery_seconds", latencyMs / 1_000, { outcome: isSuccess(outcome) ? "delivered" : "failed" });
    const expiresAt = isoOf(now + leftMs - (performance.now() - claimedAt));
    const verdict = verdictOf(outcome, { ...delivery, expiresAt }, { now, random: Math.random() });
    if (verdict.kind === "retry" && verdict.isAskedFor) this.#gate.close(sender.id, verdict.at - now);
    const attempt = { responseStatus: outcome.status, error: outcome.error, latencyMs };
    const noted = await inTransaction(db, (trx) => noteResult(trx, timers, { delivery, verdict, attempt }));
    await this.#tell(sender, noted);
  }

  async #tell({ id, organizationId }: Sender, { status, dropped, events }: Noted): Promise<void> {
    const { metrics, directory, log } = this.#context;
    const label = status === "pending" ? "retried" : status;
    if (label !== undefined) metrics.count("hexahub_webhook_deliveries_total", { status: label });
    if (dropped > 0) metrics.count("hexahub_webhook_deliveries_total", { status: "dropped" }, dropped);
    if (events.length === 0) return;
    log.warn({ webhook_id: id, dropped }, "a webhook was switched off");
    await directory.changed([organizationId]);
    await this.#context.events.emit(events);
  }

  async #send(delivery: Delivery, sender: Sender, event: HubEvent): Promise<Outcome | "stopped"> {
    const body = JSON.stringify(toCloudEvent(event));
    const message = { id: delivery.id, timestampS: Math.floor(this.#context.timers.now() / 1_000), body };
    try {
      const { status, headers } = await this.#context.outbound.request(sender.url, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json; charset=utf-8", ...signedHeaders(sender.secrets, message) },
        body,
        signal: this.#stopping.signal,
        organizationId: sender.organizationId,
      });
      const error = status >= 200 && status < 300 ? null : `the receiver answered ${status}`;
      return { status, retryAfter: headers["retry-after"], error };
    } catch (error) {
      if (error instanceof ForbiddenDestination) return { status: null, retryAfter: undefined, error: error.message };
      if (!(error instanceof OutboundError)) throw error;
      return error.reason === "stopped" ? "stopped" : { status: null, retryAfter: undefined, error: error.message };
    }
  }
}

const isSuccess = ({ status }: Outcome): boolean => status !== null && status >= 200 && status < 300;
