import type { Bus, BusMessage } from "../../core/bus.ts";
import { newId } from "../../core/id.ts";
import type { Mailer } from "../../core/mail.ts";
import type { NewNotification } from "../../core/notification.ts";
import type { Role } from "../../core/permissions.ts";
import { createTopics } from "../../core/topics.ts";
import { createNotifier, type HubNotifier } from "../../rules/notifier.ts";
import { type HubTimers, openTimers } from "../../rules/timers.ts";
import { addMember } from "../../store/members.ts";
import type { Db } from "../../store/open.ts";
import { changePreferences } from "../../store/preferences.ts";
import type { SigningKeys } from "../../store/secrets.ts";
import { inTransaction } from "../../store/transaction.ts";
import { createUser } from "../../store/users.ts";

const NO_MAILER: Mailer = { isOn: false, wake() {} };
const SILENT = { debug() {}, info() {}, warn() {} };

export interface NotifyScene extends AsyncDisposable {
  readonly notifier: HubNotifier;
  readonly timers: HubTimers;
  /** What the rest of the hub had to log as an error. */
  readonly errors: string[];
  notify(wanted: NewNotification): Promise<void>;
}

/** Whoever tells people something, with timers of their own that do not run until they begin. */
export async function openNotifyScene(
  db: Db,
  { keys, bus, clock = Date.now, mailer = NO_MAILER }: { keys: SigningKeys; bus: Bus; clock?: () => number; mailer?: Mailer },
): Promise<NotifyScene> {
  const errors: string[] = [];
  const log = { ...SILENT, error: (_: object, message: string) => void errors.push(message) };
  const metrics = { count() {}, observe() {} };
  const timers = await openTimers({ db, log, metrics, clock });
  const notifier = createNotifier({ db, keys, bus, topics: createTopics(), timers, mailer, log, metrics, clock });
  return {
    notifier,
    timers,
    errors,
    notify: (one) => inTransaction(db, (trx) => notifier.notify(trx, one)),
    async [Symbol.asyncDispose]() {
      await timers[Symbol.asyncDispose]();
      await notifier[Symbol.asyncDispose]();
    },
  };
}

/** A bus without a broker: what is published stands in a list. */
export function listBus(published: BusMessage[]): Bus {
  return { publish: async (message) => void published.push(message), subscribe: () => ({ [Symbol.dispose]: () => undefined }) };
}

export function wanted(organizationId: string, more: Partial<NewNotification> = {}): NewNotification {
  return {
    organizationId,
    to: "everybody",
    severity: "warning",
    title: "The cellar is wet",
    body: "3 mm since noon",
    source: { kind: "alert", id: "cellar" },
    correlationId: newId(),
    ...more,
  };
}

/** A member of the organisation, with an address that was verified. */
export async function addPerson(db: Db, organizationId: string, role: Role | null): Promise<{ id: string; email: string }> {
  const { id, email } = await createUser(db, {
    email: `${newId()}@example.org`,
    passwordHash: "none",
    role: "user",
    organizationId,
    memberRole: role,
    isEmailVerified: true,
  });
  return { id, email };
}

export async function joinOrganization(db: Db, organizationId: string, userId: string): Promise<void> {
  await addMember(db, organizationId, userId, "viewer");
}

/** What the person's notification_settings say. */
export async function prefer(
  db: Db,
  owner: { readonly userId: string; readonly organizationId: string },
  settings: Record<string, unknown>,
): Promise<void> {
  await inTransaction(db, (trx) => changePreferences(trx, owner, (before) => ({ ...before, notification_settings: settings }), Date.now()));
}
