/** What a timer is for. Each kind has one handler. */
export type TimerKind =
  | "schedule"
  | "automation"
  | "hold"
  | "run"
  | "alert"
  | "webhook_delivery"
  | "webhook_overflow"
  | "notification"
  | "task";

/** Something to be done at a time; a row, so that it outlives the process. */
export interface NewTimer {
  readonly kind: TimerKind;
  /** One of a kind has the key: another one under it takes its place. */
  readonly key: string;
  readonly organizationId: string | null;
  /** ms since 1970, by {@link Timers.now} */
  readonly dueAt: number;
  /**
   * It counts time that goes by ("in five minutes"), so that it moves along when somebody sets the clock; without it, it is
   * for a time of the day and stays.
   */
  readonly isRelative: boolean;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface Timer extends NewTimer {
  readonly id: string;
  /** How often its handler has failed. */
  readonly attempts: number;
}

/**
 * Does what is due, inside the transaction that takes the timers away, and gives what follows the commit: all of it happens
 * once, whoever dies when. Work that is not the database's (a command, a request) begins after the commit, and the handler
 * puts a timer of the same key for the time at which it has to be tried again, unless the work has dropped it by then.
 * When it throws, nothing has happened, and the timers come again one by one, later each time.
 */
export type TimerHandler<Trx> = (trx: Trx, timers: readonly Timer[], now: number) => Promise<(() => void) | undefined>;

/** Called, when the clock was set by so many ms, inside the transaction that moves the relative timers along. */
export type StepHandler<Trx> = (trx: Trx, stepMs: number, now: number) => Promise<void>;

export interface Timers<Trx> {
  /** ms since 1970, as the timers count: that of the database where several hubs share one, and never before this release. */
  now(): number;
  /** Part of the transaction; the hub wakes up in time by itself. */
  put(trx: Trx, timers: readonly NewTimer[]): Promise<void>;
  drop(trx: Trx, kind: TimerKind, keys: readonly string[]): Promise<void>;
  handle(kind: TimerKind, handler: TimerHandler<Trx>): void;
  onStep(handler: StepHandler<Trx>): void;
}
