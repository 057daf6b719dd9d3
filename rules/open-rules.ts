import type { AlertControl, AutomationControl, Bus, Log, ReadingWitness, ScheduleControl } from "../core/bus.ts";
import type { Mailer } from "../core/mail.ts";
import type { SceneControl } from "../core/scene.ts";
import type { Db } from "../store/open.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { type Alerts, openAlerts } from "./alerts.ts";
import { openAutomations } from "./automations.ts";
import { MessageDepth } from "./message-depth.ts";
import { createNotifier } from "./notifier.ts";
import { createRuns } from "./runs.ts";
import { createScenes } from "./scenes.ts";
import { openTasks, type Tasks, type TasksContext } from "./tasks.ts";
import { openSchedules } from "./schedules.ts";
import { tellOfTroubles } from "./troubles.ts";

export { startSummingUp } from "./summing-up.ts";

export interface RulesContext extends Omit<TasksContext, "notifier"> {
  readonly keys: SigningKeys;
  readonly mailer: Mailer;
  readonly commandTimeoutMs?: number | undefined;
  /** Of a device by its uid; undefined for one that is not there. */
  readonly organizationOf: (uid: string) => string | null | undefined;
}

/** What the hub does by itself. */
export interface Rules extends AsyncDisposable {
  readonly automations: AutomationControl<Db>;
  readonly schedules: ScheduleControl<Db>;
  readonly alerts: AlertControl<Db> & Pick<Alerts, "open">;
  readonly tasks: Tasks;
  readonly scenes: SceneControl;
  readonly witnessReadings: ReadingWitness<Db>;
  /** From now on this node and the others follow each other's changes. */
  share(context: { readonly bus: Bus; readonly log: Log }): Disposable & { reload(): void };
}

/** Their timers fire once {@link Timers} begins. */
export async function openRules(context: RulesContext): Promise<Rules> {
  await using stack = new AsyncDisposableStack();
  const notifier = stack.use(createNotifier(context));
  tellOfTroubles(context.db, notifier);
  const messageDepth = new MessageDepth();
  const tasks = stack.use(openTasks({ ...context, notifier }));
  const runs = stack.use(createRuns({ ...context, notifier, messageDepth, tasks: tasks.control }));
  await runs.resume();
  const automations = stack.use(await openAutomations({ ...context, runs, messageDepth }));
  const schedules = await openSchedules({ ...context, runs });
  const alerts = stack.use(await openAlerts({ ...context, notifier, runs }));
  const open = stack.move();
  return {
    automations,
    schedules,
    alerts,
    tasks,
    scenes: createScenes(context),
    async witnessReadings(trx, readings) {
      await automations.witnessReadings(trx, readings);
      await alerts.witnessReadings(trx, readings);
    },
    share(shared) {
      const shares = [automations.share(shared), alerts.share()];
      return {
        reload() {
          for (const one of shares) one.reload();
          tasks.reload();
        },
        [Symbol.dispose]: () => shares.forEach((one) => one[Symbol.dispose]()),
      };
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
