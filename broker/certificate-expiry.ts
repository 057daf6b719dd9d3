import type { Log } from "../core/bus.ts";
import { DAY_MS } from "../core/durations.ts";

/** A certificate that will end: `server`, `client-ca`, `sni:<host>`, … */
export interface Expiry {
  readonly name: string;
  readonly notAfter: Date;
  /** The hub renews it 30 days before: only when that did not happen there is something to tell. */
  readonly renewsItself?: boolean;
}

const WARN_DAYS = 30;
/** Two days after the renewal should have been. */
const WARN_OWN_DAYS = 28;
const ERROR_DAYS = 7;

export function alarmOf({ notAfter, renewsItself = false }: Expiry, now: number): "warn" | "error" | undefined {
  const days = (notAfter.getTime() - now) / DAY_MS;
  if (days < ERROR_DAYS) return "error";
  return days < (renewsItself ? WARN_OWN_DAYS : WARN_DAYS) ? "warn" : undefined;
}

/** Logs what ends soon: once a day each, and at once when it becomes grave. Call it as often as you like. */
export function createExpiryAlarm(log: Pick<Log, "warn" | "error">): (expiries: readonly Expiry[], now: number) => void {
  const told = new Map<string, { level: string; at: number }>();
  return (expiries, now) => {
    for (const expiry of expiries) {
      const { name, notAfter } = expiry;
      const level = alarmOf(expiry, now);
      const last = told.get(name);
      if (level === undefined) told.delete(name);
      if (level === undefined || (last?.level === level && now - last.at < DAY_MS)) continue;
      told.set(name, { level, at: now });
      const days = Math.floor((notAfter.getTime() - now) / DAY_MS);
      log[level](
        { name, notAfter: notAfter.toISOString(), days },
        days < 0 ? "a TLS certificate has expired" : "a TLS certificate expires soon",
      );
    }
  };
}
