import { useTranslation } from "react-i18next";
import { usePreference } from "./hub/preferences.ts";
import { atZone } from "./zone.ts";

const MINUTE_MS = 60_000;
const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", MINUTE_MS],
  ["second", 1_000],
];

export interface Formats {
  number(value: number, most?: number): string;
  /** 0 to 1 */
  share(value: number): string;
  dateTime(iso: string | number): string;
  time(iso: string | number): string;
  /** On an axis of time whose ticks are so many seconds apart. */
  tick(ms: number, stepS: number): string;
  /** "3 minutes ago" */
  ago(iso: string, now?: number): string;
  list(texts: readonly string[]): string;
}

/** In the person's language, as it is written where they are, and in their time zone. */
export function useFormats(): Formats {
  const { i18n } = useTranslation();
  return formatsOf(localeOf(i18n.language, navigator.languages), useZone());
}

/** The person's own, or without one this browser's. */
export function useZone(): string {
  const [zone] = usePreference<string>("dashboard_settings", "time_zone", "");
  return zone === "" ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone;
}

/** The browser's variant of the language, such as `de-CH`; for the tests' language the one that it is made of. */
export function localeOf(language: string, wanted: readonly string[]): string {
  const [spoken = "en"] = language.split("-");
  return wanted.find((one) => one.toLowerCase().split("-")[0] === spoken) ?? spoken;
}

const known = new Map<string, Formats>();

export function formatsOf(language: string, timeZone: string): Formats {
  const name = `${language} ${timeZone}`;
  const found = known.get(name);
  if (found) return found;
  const dateTime = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", timeZone });
  const time = new Intl.DateTimeFormat(language, { timeStyle: "medium", timeZone });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone });
  const minute = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit", timeZone });
  const share = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
  const list = new Intl.ListFormat(language, { type: "conjunction" });
  const made: Formats = {
    number: (value, most = 2) => value.toLocaleString(language, { maximumFractionDigits: most }),
    share: (value) => share.format(value),
    dateTime: (iso) => dateTime.format(new Date(iso)),
    time: (iso) => time.format(new Date(iso)),
    tick(ms, stepS) {
      if (stepS < 60) return time.format(ms);
      const isMidnight = atZone(ms, timeZone).endsWith("T00:00:00");
      return (stepS >= 86_400 || isMidnight ? day : minute).format(ms);
    },
    ago(iso, now = Date.now()) {
      const passedMs = Date.parse(iso) - now;
      const [unit, ms] = STEPS.find(([, length]) => Math.abs(passedMs) >= length) ?? ["second", 1_000];
      return relative.format(Math.round(passedMs / ms), unit);
    },
    list: (texts) => list.format(texts),
  };
  known.set(name, made);
  return made;
}
