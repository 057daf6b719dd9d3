import { type BridgeHappening, type BridgeLink, bridgeEvent, type LinkStatus } from "../core/bridge-event.ts";
import type { EventSink, Log, Metrics } from "../core/bus.ts";
import type { BridgeName } from "../core/smart-home.ts";
import { isForeignKeyViolation } from "../store/database-errors.ts";
import { insertEvents } from "../store/events.ts";
import type { Db } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";

type LabelledValue = { readonly labels: { readonly bridge: string }; readonly value: number };

export interface BridgeWatchContext {
  readonly db: Db;
  readonly events: EventSink;
  readonly metrics: Metrics & {
    gauge(name: string, help: string, read: () => readonly LabelledValue[], labelNames: readonly string[]): void;
  };
  readonly log: Log;
  readonly clock: () => number;
}

interface Known {
  readonly link: BridgeLink;
  status: LinkStatus;
  trouble: Trouble | null;
  /** What was told last. */
  told: LinkStatus;
  timer?: NodeJS.Timeout | undefined;
}
type Trouble = { readonly code: string; readonly message: string };

/** Whoever comes and goes all the time is one event a second. */
const SETTLE_MS = 1_000;
const HAPPENINGS: Readonly<Record<LinkStatus, BridgeHappening>> = { connected: "connected", waiting: "disconnected", failed: "failed" };
const LABELS = ["bridge"];

/** What there is to know of all links with smart homes that this node tells: the same words for each of them, as events and as metrics. */
export class BridgeWatch implements Disposable {
  readonly #context: BridgeWatchContext;
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Map<BridgeName, Set<() => number>>();
  readonly #lastSent = new Map<BridgeName, number>();

  constructor(context: BridgeWatchContext) {
    this.#context = context;
    const { metrics } = context;
    const values = (of: Iterable<readonly [BridgeName, number]>): LabelledValue[] =>
      [...of].map(([bridge, value]) => ({ labels: { bridge }, value }));
    metrics.gauge(
      "hexahub_bridge_links",
      "Links with smart homes that are connected, as this node tells them",
      () => values(this.#countConnected()),
      LABELS,
    );
    metrics.gauge("hexahub_bridge_waiting", "What waits to be told to smart homes", () => values(this.#countWaiting()), LABELS);
    const help = "When a smart home took a message last, in seconds since 1970";
    metrics.gauge("hexahub_bridge_last_sent_timestamp_seconds", help, () => values(this.#lastSent), LABELS);
  }

  /** How it was before: nobody is told. */
  know(link: BridgeLink, status: LinkStatus): void {
    clearTimeout(this.#known.get(keyOf(link))?.timer);
    this.#known.set(keyOf(link), { link, status, trouble: null, told: status });
  }

  /** How it is from now on, as far as somebody has to look with why: an event, when it stays so for a second. */
  note(link: BridgeLink, status: LinkStatus, trouble: Trouble | null = null): void {
    const known = this.#known.get(keyOf(link)) ?? { link, status, trouble, told: "waiting" };
    this.#known.set(keyOf(link), Object.assign(known, { status, trouble }));
    if (known.status === known.told) return;
    known.timer ??= setTimeout(() => {
      known.timer = undefined;
      void this.#tell(known);
    }, SETTLE_MS).unref();
  }

  /** There is no such link any more, or another node tells it. */
  forget(link: BridgeLink): void {
    clearTimeout(this.#known.get(keyOf(link))?.timer);
    this.#known.delete(keyOf(link));
  }

  /** The other side was told something: it took it, it is told again, or it does not want it. */
  count(bridge: BridgeName, result: "sent" | "retried" | "refused"): void {
    this.#context.metrics.count("hexahub_bridge_messages_total", { bridge, result });
    if (result === "sent") this.#lastSent.set(bridge, this.#context.clock() / 1_000);
  }

  /** What waits there, until it is disposed of. */
  queue(bridge: BridgeName, read: () => number): Disposable {
    const reads = this.#waiting.get(bridge) ?? new Set();
    this.#waiting.set(bridge, reads.add(read));
    return { [Symbol.dispose]: () => void reads.delete(read) };
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#known.clear();
  }

  *#countConnected(): Iterable<readonly [BridgeName, number]> {
    const byBridge = Map.groupBy(this.#known.values(), ({ link }) => link.bridge);
    for (const [bridge, all] of byBridge) yield [bridge, all.filter(({ status }) => status === "connected").length];
  }

  *#countWaiting(): Iterable<readonly [BridgeName, number]> {
    for (const [bridge, reads] of this.#waiting) yield [bridge, [...reads].reduce((sum, read) => sum + read(), 0)];
  }

  async #tell(known: Known): Promise<void> {
    const { db, events, clock, log } = this.#context;
    const { link, status, trouble, told } = known;
    if (status === told) return;
    known.told = status;
    const actor = { kind: "bridge", id: link.bridge.replace("_", "-") } as const;
    const why = trouble === null ? {} : { code: trouble.code, message: trouble.message };
    const event = bridgeEvent(HAPPENINGS[status], { ...link, actor, now: clock() }, why);
    try {
      await inTransaction(db, (trx) => insertEvents(trx, [event]));
      await events.emit([event]);
    } catch (err) {
      // The organisation may be gone.
      if (!isForeignKeyViolation(err)) log.error({ err, bridge: link.bridge }, "how a smart home is doing could not be told");
    }
  }
}

const keyOf = ({ bridge, organizationId, userId, broker }: BridgeLink): string =>
  [bridge, organizationId, userId ?? "", broker ?? ""].join(" ");
