import type { DeviceDirectory, DeviceRef, Ingest, Log, Metrics, UpHandler, UpMessage } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import type { MessageIdentity } from "../core/message-identity.ts";
import { type Telemetry, UP_PAYLOADS, type UpType } from "../core/payloads.ts";
import { checkTimes } from "../core/telemetry.ts";
import { type Parser, parserFor } from "../core/validate.ts";
import { hubErrorOf } from "../store/database-errors.ts";
import type { Db, Store } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import { noteReceived, type Received } from "../store/received-messages.ts";
import type { ClockWatch } from "./clock-watch.ts";
import type { StorageWatch } from "./storage-watch.ts";

/** What goes through the group commit: device messages, and the hub's own notes about devices in the same order. */
export type IngestType = UpType | "presence";
export type IngestMessage<T = unknown> = Omit<UpMessage<T>, "type"> & {
  readonly type: IngestType;
  /** Of a message whose effect must come once, however often it is sent. */
  readonly identity?: MessageIdentity | undefined;
};
export type IngestHandler = (trx: Db, messages: readonly IngestMessage[]) => Promise<(() => void) | undefined>;

export interface DurableIngest extends Ingest, AsyncDisposable {
  handle(type: IngestType, handler: IngestHandler | UpHandler<Db>): void;
  /** Parses and checks the payload of the device's `up/<type>`; throws bad_json, validation_error or clock_out_of_range. */
  parse(from: { readonly device: DeviceRef; readonly type: UpType }, payload: Buffer | string, receivedAt: number): unknown;
  /** Resolves when the message's effects are committed. */
  commit(message: IngestMessage): Promise<void>;
  /** What was received before this time, in ms since 1970, is committed and announced. */
  announcedUntil(): number;
  /** For QoS 0: nobody waits, and above the bound the message is dropped and counted. */
  offer(message: IngestMessage): void;
}

export interface IngestContext {
  readonly store: Store;
  readonly directory: DeviceDirectory;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
  /** Resolves when what follows from the commits up to now is stored for the sessions that are away. */
  readonly stored: () => Promise<void>;
  readonly storage: Pick<StorageWatch, "failed">;
  /** Looks at the clocks that devices stamp their readings with. */
  readonly clocks?: Pick<ClockWatch, "note"> | undefined;
}

interface Waiting {
  readonly message: IngestMessage;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One commit holds at most this many messages: enough to share an fsync, few enough to answer within milliseconds. */
const MAX_GROUP = 1_000;
/** QoS 0 messages that may wait for a slow disk before more are dropped. */
const MAX_OFFERED = 20_000;

/** The device's messages on their way into the database. A handler is set once for each type. */
export function createIngest(context: IngestContext): DurableIngest {
  const { directory, log, metrics, clock, storage, clocks } = context;
  const parsers = new Map<UpType, Parser<unknown>>(
    Object.entries(UP_PAYLOADS).map(([type, schema]) => [type as UpType, parserFor(schema)]),
  );
  const handlers = new Map<IngestType, IngestHandler>();
  const queue = createCommitQueue(context, handlers);

  function check({ device, type }: { device: DeviceRef; type: UpType }, payload: unknown, receivedAt: number): unknown {
    const parsed = (parsers.get(type) as Parser<unknown>)(payload);
    if (type === "telemetry") {
      clocks?.note(device, parsed as Telemetry, receivedAt);
      // Throws for a time that no working clock can have, before the message joins a group.
      checkTimes(parsed as Telemetry, receivedAt);
    }
    return parsed;
  }

  const commit = (message: IngestMessage): Promise<void> => new Promise((resolve, reject) => queue.push({ message, resolve, reject }));
  return {
    handle(type, handler) {
      handlers.set(type, handler as IngestHandler);
    },
    parse: (from, payload, receivedAt) => check(from, parseJson(payload), receivedAt),
    commit,
    announcedUntil: () => Math.min(clock(), queue.oldest() ?? Number.POSITIVE_INFINITY),
    offer(message) {
      if (queue.length() >= MAX_OFFERED) return metrics.count("hexahub_ingest_dropped_total");
      queue.push({
        message,
        resolve: () => {},
        reject(error) {
          if (!storage.failed(error)) log.error({ err: error, type: message.type }, "a message could not be stored");
        },
      });
    },
    async accept(device, type, payload) {
      const receivedAt = clock();
      const known = directory.find(device.uid) ?? { ...device, organizationId: null };
      await commit({ device: known, type, payload: check({ device: known, type }, payload, receivedAt), receivedAt });
    },
    [Symbol.asyncDispose]: () => queue.drained(),
  };
}

/**
 * Group commit: what arrives while one transaction is written shares the next one, so that the cost of an fsync is
 * spread over everybody who waits for it. If a group fails as a whole, each message is tried alone, so that one that
 * cannot be stored takes no other down with it; unless it is the database that fails, which would fail each of them.
 */
function createCommitQueue(context: IngestContext, handlers: ReadonlyMap<IngestType, IngestHandler>) {
  const { log, metrics, stored, storage } = context;
  const waiting: Waiting[] = [];
  /** The group that is being committed. */
  let current: readonly Waiting[] = [];
  let running: Promise<void> | undefined;

  async function commitGroup(group: readonly Waiting[]): Promise<void> {
    const started = performance.now();
    try {
      const after = await runHandlers(
        context,
        handlers,
        group.map(({ message }) => message),
      );
      for (const act of after) attempt(act);
      // What a session that is away will hear of it is part of what is acknowledged.
      stored().then(
        () => group.forEach(({ resolve }) => resolve()),
        (error: unknown) => group.forEach(({ reject }) => reject(error)),
      );
    } catch (error) {
      storage.failed(error);
      if (group.length === 1 || isOutage(error)) for (const { reject } of group) reject(error);
      else for (const one of group) await commitGroup([one]);
      return;
    }
    metrics.observe("hexahub_ingest_commit_seconds", (performance.now() - started) / 1_000);
    metrics.count("hexahub_ingest_messages_total", {}, group.length);
  }

  async function drain(): Promise<void> {
    // The rest of this turn's packets join the group.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      current = waiting.splice(0, MAX_GROUP);
      await commitGroup(current);
      current = [];
    }
  }

  function attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      log.error({ err: error }, "an effect after a commit failed");
    }
  }

  return {
    length: () => waiting.length,
    oldest: () => (current[0] ?? waiting[0])?.message.receivedAt,
    push(entry: Waiting): void {
      waiting.push(entry);
      running ??= drain().finally(() => {
        running = undefined;
      });
    },
    async drained(): Promise<void> {
      await running;
    },
  };
}

/**
 * One transaction for all. What one handler takes, of whatever types, it gets in the order of arrival. A message that had
 * its effect before reaches no handler.
 */
async function runHandlers(
  { store, metrics, clock }: IngestContext,
  handlers: ReadonlyMap<IngestType, IngestHandler>,
  messages: readonly IngestMessage[],
): Promise<(() => void)[]> {
  return inTransaction(store.db, async (trx) => {
    const received = messages.filter((one): one is IngestMessage & Received => one.identity !== undefined && handlers.has(one.type));
    const known: ReadonlySet<object> = received.length === 0 ? new Set() : await noteReceived(trx, received, clock());
    const fresh = known.size === 0 ? messages : messages.filter((message) => !known.has(message));
    const after: (() => void)[] = [];
    for (const [handler, group] of Map.groupBy(fresh, (message) => handlers.get(message.type))) {
      const done = await handler?.(trx, group);
      if (done) after.push(done);
    }
    if (known.size > 0) after.push(() => metrics.count("hexahub_mqtt_repeated_total", {}, known.size));
    return after;
  });
}

function isOutage(error: unknown): boolean {
  const code = hubErrorOf(error)?.code;
  return code === "storage_full" || code === "unavailable";
}

function parseJson(payload: Buffer | string): unknown {
  const text = typeof payload === "string" ? payload : payload.toString("utf8");
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new HubError("bad_json", text.length === 0 ? "the payload is empty" : "the payload is not valid JSON", { cause });
  }
}
