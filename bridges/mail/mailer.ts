import { setTimeout as pause } from "node:timers/promises";
import type { Bus, Duties, Log, Metrics } from "../../core/bus.ts";
import { MINUTE_MS } from "../../core/durations.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { Mailer } from "../../core/mail.ts";
import { claimMails, type DueMail, endMail, type MailOutcome, nextMailAt, postponeMail } from "../../store/mails.ts";
import { mailable } from "../../store/notification-mails.ts";
import type { Db } from "../../store/open.ts";
import type { SigningKeys } from "../../store/secrets.ts";
import { isActiveEmail, userIdOf } from "../../store/users.ts";
import { type Letter, wordsOf } from "./letter.ts";

/** Hands a letter over for good. Throws {@link MailRefused} when that will never do, and anything else when it may do later. */
export type Deliver = (letter: Letter, signal: AbortSignal) => Promise<void>;

export class MailRefused extends Error {
  override readonly name = "MailRefused";
}

export interface MailerContext {
  readonly db: Db;
  readonly keys: SigningKeys;
  readonly duties: Duties;
  readonly bus: Bus;
  readonly deliver: Deliver;
  readonly log: Log;
  readonly metrics: Metrics;
  /** ms since 1970 */
  readonly clock: () => number;
}

export interface HubMailer extends Mailer, AsyncDisposable {
  /** Sends from now on; links begin with `baseUrl`. */
  begin(baseUrl: string): void;
}

const AT_ONCE = 4;
const LIMIT_MS = 30_000;
/** So long nobody else tries: what a node that died was sending is sent again after it. */
const HOLD_MS = LIMIT_MS + 10_000;
/** What is under way when the hub stops may still get through. */
const GRACE_MS = 3_000;
/** Mails wake the node that sends; this is for those of which it did not hear. */
const LOOK_MS = 30_000;
const RETRIES_MS = [10_000, MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS];
const LAST_RETRY_MS = 60 * MINUTE_MS;

/** Sends the mails that stand in the database, on one node of a cluster. One that cannot be handed over is tried again until it is too old. */
export function createMailer(context: MailerContext): HubMailer {
  const { duties, bus, log } = context;
  const alarm = new Alarm();
  const subscription = bus.subscribe(HUB_TOPICS.mail, () => alarm.ring());
  let duty: AsyncDisposable | undefined;
  return {
    isOn: true,
    wake() {
      alarm.ring();
      bus
        .publish({ topic: HUB_TOPICS.mail, payload: "" })
        .catch((error: unknown) => log.warn({ err: error }, "the node that sends mails was not woken; it looks by itself"));
    },
    begin(baseUrl) {
      duty ??= duties.hold("mail", (signal) => sendAll({ ...context, baseUrl, alarm }, signal));
    },
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]();
      await duty?.[Symbol.asyncDispose]();
    },
  };
}

/** Rings once for whoever waits, or for who will wait next. */
class Alarm {
  #isRung = false;
  #stir: (() => void) | undefined;

  ring(): void {
    this.#isRung = true;
    this.#stir?.();
  }

  /** What happened until now is known. */
  reset(): void {
    this.#isRung = false;
  }

  /** Resolves when it rings, or rang since the last {@link reset}; after `ms`, when `other` does, or when the signal aborts. */
  async wait(ms: number, other: readonly Promise<unknown>[], signal: AbortSignal): Promise<void> {
    if (this.#isRung) return;
    const over = new AbortController();
    const rung = new Promise<void>((resolve) => {
      this.#stir = resolve;
    });
    const late = pause(ms, undefined, { signal: AbortSignal.any([signal, over.signal]), ref: false }).catch(() => undefined);
    await Promise.race([rung, late, ...other]);
    over.abort();
    this.#stir = undefined;
  }
}

type Sending = MailerContext & { readonly baseUrl: string; readonly alarm: Alarm };

async function sendAll(context: Sending, signal: AbortSignal): Promise<void> {
  const { db, keys, alarm, clock, log } = context;
  const stopping = stopAfter(signal, GRACE_MS);
  const running = new Set<Promise<void>>();
  while (!signal.aborted) {
    let waitMs = LOOK_MS;
    try {
      alarm.reset();
      const limit = AT_ONCE - running.size;
      const due = limit > 0 ? await claimMails(db, keys, { now: clock(), holdMs: HOLD_MS, limit }) : [];
      for (const mail of due) {
        const sent = send(context, mail, stopping).finally(() => running.delete(sent));
        running.add(sent);
      }
      if (running.size < AT_ONCE) waitMs = Math.min(LOOK_MS, Math.max(0, ((await nextMailAt(db)) ?? Infinity) - clock()));
    } catch (error) {
      log.error({ err: error }, "mails could not be read; it is tried again");
    }
    if (running.size < AT_ONCE) await alarm.wait(waitMs, [...running], signal);
    else await Promise.race(running);
  }
  await Promise.all(running);
}

/** Aborts so long after the other one. */
function stopAfter(signal: AbortSignal, ms: number): AbortSignal {
  const stopping = new AbortController();
  signal.addEventListener("abort", () => void setTimeout(() => stopping.abort(new Error("the hub stops")), ms).unref(), { once: true });
  return stopping.signal;
}

async function send(context: Sending, due: DueMail, stopping: AbortSignal): Promise<void> {
  const { db, clock, log, metrics, deliver } = context;
  const { id, kind, attempts } = due;
  const expiresAt = Date.parse(due.expiresAt);
  const end = async (outcome: MailOutcome): Promise<void> => {
    await endMail(db, id, outcome, clock());
    metrics.count("hexahub_mails_total", { kind, outcome });
  };
  try {
    if (expiresAt <= clock()) {
      log.warn({ mail: id, kind, attempts }, "a mail was not sent in time");
      return await end("expired");
    }
    const letter = await letterOf(context, due);
    if (letter === undefined) return await end("unneeded");
    try {
      await deliver(letter, AbortSignal.any([stopping, AbortSignal.timeout(LIMIT_MS)]));
    } catch (error) {
      const why = { mail: id, kind, attempts, ...reasonOf(error) };
      if (stopping.aborted) return await postponeMail(db, id, clock());
      if (error instanceof MailRefused) {
        log.warn(why, "the mail server refused a mail for good");
        return await end("refused");
      }
      const waitMs = RETRIES_MS[attempts - 1] ?? LAST_RETRY_MS;
      log.warn({ ...why, retry_in_s: waitMs / 1_000 }, "a mail could not be sent; it is tried again");
      metrics.count("hexahub_mails_total", { kind, outcome: "retried" });
      return await postponeMail(db, id, Math.min(clock() + waitMs, expiresAt));
    }
    await end("sent");
  } catch (error) {
    // Its claim runs out, and it is sent then.
    log.error({ err: error, mail: id, kind }, "what became of a mail could not be noted");
  }
}

async function letterOf({ db, baseUrl }: Sending, due: DueMail): Promise<Letter | undefined> {
  const { id, mail, recipient } = due;
  if (mail === undefined) return undefined;
  // Looked up here, and not by who asked: there, the time would tell who has an account.
  const hasAccount = mail.kind === "password_reset" ? await isActiveEmail(db, recipient) : (await userIdOf(db, recipient)) !== undefined;
  // Here too: who was removed meanwhile, or has read it, is told nothing.
  const notifications = mail.kind === "notifications" ? await mailable(db, mail, recipient) : [];
  const writtenAt = new Date(due.createdAt);
  const words = wordsOf({ mail, recipient, baseUrl, hasAccount, notifications, writtenAt, expiresAt: new Date(due.expiresAt) });
  return words && { id, to: recipient, writtenAt, ...words, link: words.link };
}

/** What a mail server says may hold the address, and what was in the mail: its codes are enough. */
function reasonOf(error: unknown): Record<string, unknown> {
  const source: unknown = error instanceof MailRefused ? error.cause : error;
  if (!(source instanceof Error)) return { reason: "unknown" };
  const { code, responseCode, command } = source as Error & { code?: unknown; responseCode?: unknown; command?: unknown };
  return { reason: typeof code === "string" ? code : source.name, smtp_code: responseCode, smtp_command: command };
}
