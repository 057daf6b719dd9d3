import type { Severity } from "./notification.ts";
import type { Actor } from "./principal.ts";

export const ALERT_STATUSES = ["firing", "acknowledged", "resolved"] as const;
export type AlertStatus = (typeof ALERT_STATUSES)[number];
/** Of one organisation, open at a time; those that rules make are bounded by its devices. */
export const MOST_OPEN_BY_HAND = 1_000;

/** What people are told of, until it is over. */
export interface Alert {
  readonly id: string;
  readonly organizationId: string;
  /** null for one that somebody has raised. */
  readonly ruleId: string | null;
  readonly ruleVersion: number | null;
  /** What it is about, as the rule tells its subjects apart: a device's uid, or what was lost as a whole. */
  readonly subject: string;
  readonly deviceId: string | null;
  readonly uid: string | null;
  readonly siteId: string | null;
  readonly severity: Severity;
  readonly status: AlertStatus;
  readonly title: string;
  readonly description: string | null;
  readonly values: Readonly<Record<string, unknown>>;
  /** The loss that it is a part of. */
  readonly parentId: string | null;
  readonly silencedUntil: string | null;
  readonly startedAt: string;
  readonly raisedAt: string;
  readonly toldAt: string | null;
  readonly acknowledgedAt: string | null;
  readonly resolvedAt: string | null;
  /** Who or what ended it: `fine`, `hand`, `gone`, `rule`. */
  readonly resolution: string | null;
  readonly correlationId: string;
}

/** One that no rule makes. */
export interface RaisedAlert {
  readonly organizationId: string;
  readonly title: string;
  readonly description: string | null;
  readonly severity: Severity;
  readonly device: { readonly id: string; readonly uid: string } | undefined;
  readonly values: Readonly<Record<string, unknown>>;
  /** One of a key is open at a time. */
  readonly key: string | undefined;
}

/** One line of an alert's history. */
export interface AlertEntry {
  readonly at: string;
  readonly what: "raised" | "told" | "acknowledged" | "silenced" | "escalated" | "gathered" | "released" | "resolved";
  readonly actor: Actor;
  readonly details: Readonly<Record<string, unknown>>;
}

/** How a rule deals with one subject; all in ms. */
export interface Policy {
  readonly forMs: number;
  readonly resolveAfterMs: number;
  /** Nobody is told before. */
  readonly tellAfterMs: number;
  /** After it was raised, the earliest first. */
  readonly escalateMs: readonly number[];
}

/**
 * What is known of one subject of a rule. `dismissed`: ended by hand while it was bad, so that it has to be fine before it comes again.
 * All times are in ms since 1970, by the timers' clock.
 */
export interface Watch {
  readonly status: "ok" | "pending" | "firing" | "acknowledged" | "dismissed";
  readonly isBad: boolean;
  /** Since when it is bad, or fine. */
  readonly since: number;
  /** Then it is fine by itself. */
  readonly badUntil: number | null;
  readonly raisedAt: number;
  /** null once it is told, or is not to be. */
  readonly tellAt: number | null;
  readonly isTold: boolean;
  /** Escalations that are done. */
  readonly steps: number;
  readonly quietUntil: number;
}

export const FINE: Watch = {
  status: "ok",
  isBad: false,
  since: 0,
  badUntil: null,
  raisedAt: 0,
  tellAt: null,
  isTold: false,
  steps: 0,
  quietUntil: 0,
};

export type Signal =
  | { readonly kind: "bad"; readonly until?: number | undefined }
  | { readonly kind: "fine" }
  /** There is nothing to be watched any more. */
  | { readonly kind: "gone"; readonly why: "gone" | "rule" }
  | { readonly kind: "time" }
  /** It was a part of something that is over: now it speaks for itself. */
  | { readonly kind: "alone" }
  | { readonly kind: "acknowledge" }
  | { readonly kind: "resolve" }
  | { readonly kind: "silence"; readonly until: number };

export type Act =
  | { readonly kind: "raise" }
  | { readonly kind: "tell" }
  | { readonly kind: "escalate"; readonly step: number }
  | { readonly kind: "acknowledge" }
  | { readonly kind: "silence"; readonly until: number }
  | { readonly kind: "resolve"; readonly how: "fine" | "hand" | "gone" | "rule"; readonly wasTold: boolean };

export interface Turn {
  readonly watch: Watch;
  readonly acts: readonly Act[];
}

/** The end of the silence in which the rule is at that time. */
export type QuietAt = (at: number) => number | undefined;

/** What follows from a signal at `now`. No clock and no chance: the same history gives the same alerts. */
export function turn(policy: Policy, before: Watch, signal: Signal, now: number, quietAt: QuietAt = () => undefined): Turn {
  const acts: Act[] = [];
  let watch = received(before, signal, now, acts);
  for (;;) {
    const next = settled(policy, watch, now, { quietAt, acts });
    if (next === watch) return { watch, acts };
    watch = next;
  }
}

const isOpen = ({ status }: Watch): boolean => status === "firing" || status === "acknowledged";

function received(watch: Watch, signal: Signal, now: number, acts: Act[]): Watch {
  switch (signal.kind) {
    case "bad":
      return { ...watch, isBad: true, since: watch.isBad ? watch.since : now, badUntil: signal.until ?? null };
    case "fine":
      return watch.isBad ? { ...watch, isBad: false, since: now, badUntil: null } : watch;
    case "gone":
      if (isOpen(watch)) acts.push({ kind: "resolve", how: signal.why, wasTold: watch.isTold });
      return FINE;
    case "acknowledge":
      if (watch.status !== "firing") return watch;
      acts.push({ kind: "acknowledge" });
      return { ...watch, status: "acknowledged", tellAt: null };
    case "resolve":
      if (!isOpen(watch)) return watch;
      acts.push({ kind: "resolve", how: "hand", wasTold: watch.isTold });
      return watch.isBad ? { ...FINE, status: "dismissed", isBad: true, since: watch.since, badUntil: watch.badUntil } : FINE;
    case "silence":
      if (!isOpen(watch)) return watch;
      acts.push({ kind: "silence", until: signal.until });
      return { ...watch, quietUntil: signal.until };
    case "alone":
      return watch.status === "firing" ? { ...watch, tellAt: now, isTold: false } : watch;
    case "time":
      return watch;
  }
}

/** One step further, or the same when nothing is due. */
function settled(policy: Policy, watch: Watch, now: number, { quietAt, acts }: { quietAt: QuietAt; acts: Act[] }): Watch {
  if (watch.isBad && watch.badUntil !== null && now >= watch.badUntil) return { ...watch, isBad: false, since: now, badUntil: null };
  switch (watch.status) {
    case "ok":
      return watch.isBad ? { ...watch, status: "pending" } : watch === FINE ? watch : FINE;
    case "pending":
      if (!watch.isBad) return FINE;
      if (now < watch.since + policy.forMs) return watch;
      acts.push({ kind: "raise" });
      return { ...watch, status: "firing", raisedAt: now, tellAt: now + policy.tellAfterMs };
    case "dismissed":
      return watch.isBad ? watch : FINE;
    case "acknowledged":
    case "firing":
      if (!watch.isBad && now >= watch.since + policy.resolveAfterMs) {
        acts.push({ kind: "resolve", how: "fine", wasTold: watch.isTold });
        return FINE;
      }
      return watch.status === "firing" ? speaking(policy, watch, now, { quietAt, acts }) : watch;
  }
}

function speaking(policy: Policy, watch: Watch, now: number, { quietAt, acts }: { quietAt: QuietAt; acts: Act[] }): Watch {
  const at = speaksAt(policy, watch);
  if (at === undefined || now < at) return watch;
  const quietUntil = quietAt(now);
  if (quietUntil !== undefined && quietUntil > now) return { ...watch, quietUntil };
  if (watch.tellAt !== null) {
    acts.push({ kind: "tell" });
    return { ...watch, tellAt: null, isTold: true };
  }
  acts.push({ kind: "escalate", step: watch.steps });
  return { ...watch, steps: watch.steps + 1 };
}

/** When it tells somebody next; nothing is escalated that was not told. */
function speaksAt({ escalateMs }: Policy, { tellAt, raisedAt, steps, quietUntil }: Watch): number | undefined {
  const step = escalateMs[steps];
  const at = tellAt ?? (step === undefined ? undefined : raisedAt + step);
  return at === undefined ? undefined : Math.max(at, quietUntil);
}

/** When it has to be looked at again, if nothing comes before; undefined for never. */
export function wakeAt(policy: Policy, watch: Watch): number | undefined {
  const times: (number | undefined)[] = [];
  if (watch.isBad) times.push(watch.badUntil ?? undefined);
  if (watch.status === "pending" && watch.isBad) times.push(watch.since + policy.forMs);
  if (isOpen(watch) && !watch.isBad) times.push(watch.since + policy.resolveAfterMs);
  if (watch.status === "firing") times.push(speaksAt(policy, watch));
  const known = times.filter((at) => at !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** Somebody has set the clock: the same distances by the new one. */
export function shifted(watch: Watch, stepMs: number): Watch {
  if (watch === FINE) return watch;
  const { since, badUntil, raisedAt, tellAt, quietUntil } = watch;
  return {
    ...watch,
    since: since + stepMs,
    badUntil: badUntil === null ? null : badUntil + stepMs,
    raisedAt: raisedAt + stepMs,
    tellAt: tellAt === null ? null : tellAt + stepMs,
    // A time of day, as it was asked for.
    quietUntil,
  };
}
