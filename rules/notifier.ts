import type { Bus, Log, Metrics } from "../core/bus.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import { newId } from "../core/id.ts";
import type { Mailer } from "../core/mail.ts";
import { fitting, type NewNotification, type Notification, notificationEvent, type Notifier } from "../core/notification.ts";
import { isMuted } from "../core/notification-settings.ts";
import type { NewTimer, Timer, Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import { putNotifications } from "../store/notification-feeds.ts";
import { recipientsOf } from "../store/notification-recipients.ts";
import { unreadAmong } from "../store/notifications.ts";
import type { Db } from "../store/open.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { afterCommit, inTransaction } from "../store/transaction.ts";
import { NotificationMails } from "./notification-mails.ts";

export interface NotifierContext {
  readonly db: Db;
  readonly keys: SigningKeys;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly timers: Timers<Db>;
  readonly mailer: Mailer;
  readonly log: Log;
  readonly metrics: Metrics;
  /** ms since 1970 */
  readonly clock: () => number;
}

export type HubNotifier = Notifier<Db> & AsyncDisposable;

/** So long whoever committed something has for telling it; after that whoever finds it does. */
const LEASE_MS = 5_000;
/** Nobody who could not be told until then is told. */
const GIVE_UP_MS = 86_400_000;

/** Has the timers of the kind `notification`: each says what is to be told, or who has mails waiting. */
export function createNotifier(context: NotifierContext): HubNotifier {
  const notifier = new RowNotifier(context);
  context.timers.handle("notification", (trx, timers, now) => notifier.onTimers(trx, timers, now));
  return notifier;
}

/** Of one transaction; some of it may be told already. */
interface Telling {
  readonly key: string;
  readonly organizationId: string;
  readonly notifications: readonly Notification[];
}

class RowNotifier implements HubNotifier {
  readonly #context: NotifierContext;
  readonly #mails: NotificationMails;
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  constructor(context: NotifierContext) {
    this.#context = context;
    this.#mails = new NotificationMails(context);
  }

  async notify(trx: Db, given: NewNotification): Promise<void> {
    const { timers, metrics } = this.#context;
    const wanted = fitting(given);
    const { organizationId, severity } = wanted;
    const recipients = (await recipientsOf(trx, wanted)).filter(({ settings }) => !isMuted(settings, wanted));
    if (recipients.length === 0) return;
    const now = timers.now();
    const told = await putNotifications(
      trx,
      wanted,
      recipients.map(({ userId }) => userId),
      now,
    );
    if (told.length === 0) return;
    const notifications = told.map(({ notification }) => notification);
    await this.#mails.write(trx, { organizationId, recipients, told, now });
    const key = newId();
    await timers.put(trx, [tellingTimer({ key, organizationId, notifications }, now, now + GIVE_UP_MS)]);
    afterCommit(trx, () => {
      metrics.count("hexahub_notifications_total", { severity }, notifications.length);
      this.#begin({ key, organizationId, notifications });
    });
  }

  async onTimers(trx: Db, timers: readonly Timer[], now: number): Promise<() => void> {
    const late: Telling[] = [];
    let hasMail = false;
    for (const { key, organizationId, payload } of timers) {
      if (organizationId === null) continue;
      const work = payload as TimerWork;
      if (work.work === "mail") {
        hasMail = (await this.#mails.writeWaiting(trx, { userId: work.user_id, organizationId }, now)) || hasMail;
        continue;
      }
      if (work.until <= now) continue;
      const notifications = await unreadAmong(trx, organizationId, work.ids);
      if (notifications.length === 0) continue;
      const telling = { key, organizationId, notifications };
      await this.#context.timers.put(trx, [tellingTimer(telling, now, work.until)]);
      late.push(telling);
    }
    return () => {
      for (const telling of late) this.#begin(telling);
      if (hasMail) this.#context.mailer.wake();
    };
  }

  /** Waits for what is being told; what is committed later is told by the next one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#running);
  }

  #begin(telling: Telling): void {
    if (this.#isClosed) return;
    const running = this.#tell(telling)
      .catch((error: unknown) => this.#context.log.error({ err: error }, "notifications could not be published; it is tried again"))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #tell({ key, organizationId, notifications }: Telling): Promise<void> {
    const { db, bus, topics, timers } = this.#context;
    const userIds = notifications.map(({ userId }) => userId);
    await Promise.all([
      bus.publish({
        topic: HUB_TOPICS.notifications,
        payload: JSON.stringify({ organization_id: organizationId, user_ids: userIds }),
        qos: 1,
      }),
      ...notifications.map((one) =>
        bus.publish({
          topic: topics.build({ kind: "notification", organizationId, userId: one.userId }),
          payload: JSON.stringify(notificationEvent(one)),
          qos: 1,
        }),
      ),
    ]);
    await inTransaction(db, (trx) => timers.drop(trx, "notification", [key]));
  }
}

type TimerWork =
  | { readonly work: "tell"; readonly ids: readonly string[]; readonly until: number }
  | { readonly work: "mail"; readonly user_id: string };

function tellingTimer({ key, organizationId, notifications }: Telling, now: number, until: number): NewTimer {
  const work: TimerWork = { work: "tell", ids: notifications.map(({ id }) => id), until };
  return { kind: "notification", key, organizationId, dueAt: now + LEASE_MS, isRelative: true, payload: work };
}
