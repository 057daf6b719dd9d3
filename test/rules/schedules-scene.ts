import { createMetrics } from "../../api/metrics.ts";
import type { Commands, Log, ScheduleControl } from "../../core/bus.ts";
import { HubError } from "../../core/errors.ts";
import type { HubEvent } from "../../core/event.ts";
import type { NewNotification } from "../../core/notification.ts";
import { PLATFORM, SYSTEM } from "../../core/principal.ts";
import type { Run } from "../../core/run.ts";
import type { ScheduleDefinition } from "../../core/schedule.ts";
import { createTopics } from "../../core/topics.ts";
import type { FiringContext } from "../../rules/firing.ts";
import { MessageDepth } from "../../rules/message-depth.ts";
import { createRuns } from "../../rules/runs.ts";
import { openSchedules } from "../../rules/schedules.ts";
import { type HubTimers, openTimers } from "../../rules/timers.ts";
import type { Db } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { listRuns } from "../../store/runs.ts";
import { createSchedule, findSchedule, type StoredSchedule } from "../../store/schedules.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";

/** What a schedule of these tests does: an event of the organisation's own, which is a row. */
export const TELL: ScheduleDefinition["actions"] = [{ kind: "event", type: "custom.told", data: {} }];

/** Schedules of one hub, whose clock the test may set where the database has none of its own. */
export interface Scene extends AsyncDisposable {
  readonly db: Db;
  readonly timers: HubTimers;
  readonly schedules: ScheduleControl<Db>;
  /** For what begins runs by other ways. */
  readonly firing: FiringContext;
  readonly organizationId: string;
  readonly notified: readonly NewNotification[];
  readonly emitted: readonly HubEvent[];
  make(definition: Partial<ScheduleDefinition>, more?: { readonly isActive?: boolean; readonly createdAt?: number }): Promise<string>;
  find(id: string): Promise<StoredSchedule>;
  /** Oldest first. */
  runs(id: string): Promise<Run[]>;
  /** As if it had waited for that time, and nobody had been there. */
  pretend(id: string, awaited: number): Promise<void>;
  /** When its timer is due. */
  dueAt(id: string): Promise<number | undefined>;
}

const log: Log = {
  debug() {},
  info() {},
  warn() {},
  error: (data, message) => void process.stderr.write(`hub error: ${message} ${JSON.stringify(data)}\n`),
};

/** Nothing here goes to a device. */
const nobody = (): Promise<never> => Promise.reject(new HubError("device_offline", "the device is not connected"));
const commands: Commands = { send: nobody, accept: nobody };

export async function startScene(db: Db, clock: () => number = Date.now): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics();
  const timers = await openTimers({ db, log, metrics, clock });
  const notified: NewNotification[] = [];
  const emitted: HubEvent[] = [];
  const runs = stack.use(
    createRuns({
      db,
      bus: { publish: async () => {}, subscribe: () => ({ [Symbol.dispose]: () => undefined }) },
      topics: createTopics(),
      events: { emit: async (events) => void emitted.push(...events) },
      commands,
      notifier: { notify: async (_trx, one) => void notified.push(one) },
      timers,
      log,
      metrics,
      messageDepth: new MessageDepth(),
      tasks: { submit: nobody },
    }),
  );
  const events = { emit: async (all: readonly HubEvent[]) => void emitted.push(...all) };
  const schedules = await openSchedules({ db, timers, runs, events, log, metrics });
  // They end before the runs do.
  stack.use(timers);
  const { id: organizationId } = await createOrganization(db, { name: "Home" });
  const find = async (id: string): Promise<StoredSchedule> => (await findSchedule(db, id)) as StoredSchedule;
  const owned = stack.move();
  return {
    db,
    timers,
    schedules,
    firing: { runs, events, log, metrics },
    organizationId,
    notified,
    emitted,
    find,
    make: (definition, { isActive = true, createdAt = timers.now() } = {}) =>
      inTransaction(db, async (trx) => {
        const fields = { name: "Told", description: null, isActive, definition: { actions: TELL, ...definition } };
        const id = await createSchedule(trx, organizationId, fields, { actor: SYSTEM, now: createdAt, most: 100 });
        await schedules.plan(trx, id);
        return id;
      }),
    runs: async (id) => (await listRuns(db, PLATFORM, { sourceId: id, limit: 1_000 })).items.toReversed(),
    async pretend(id, awaited) {
      const { organizationId: organization, version } = await find(id);
      const payload = { schedule: id, version, scheduled_for: new Date(awaited).toISOString() };
      await inTransaction(db, (trx) =>
        timers.put(trx, [{ kind: "schedule", key: id, organizationId: organization, dueAt: awaited, isRelative: false, payload }]),
      );
    },
    async dueAt(id) {
      const [row] = await rowsOf<{ due_at: string }>(db, "select due_at from timers where kind = 'schedule' and timer_key = ?", [id]);
      return row && Date.parse(row.due_at);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
