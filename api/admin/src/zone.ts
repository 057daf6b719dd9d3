const parts = new Map<string, Intl.DateTimeFormat>();

/** The wall clock there, as an input of a date and a time has it: `2026-03-29T14:30:00`. */
export function atZone(ms: number, timeZone: string): string {
  let format = parts.get(timeZone);
  // Sweden writes dates as ISO 8601 does.
  if (!format) parts.set(timeZone, (format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone })));
  return format.format(ms).replace(" ", "T");
}

/** When that clock shows it, in ms since 1970; NaN for no time. An hour that a clock skips is the one after it. */
export function momentAt(local: string, timeZone: string): number {
  const asUtc = Date.parse(`${local.length === 16 ? `${local}:00` : local}Z`);
  if (Number.isNaN(asUtc)) return asUtc;
  const offsetAt = (ms: number): number => Date.parse(`${atZone(ms, timeZone)}Z`) - Math.floor(ms / 1_000) * 1_000;
  const guess = asUtc - offsetAt(asUtc);
  const before = asUtc - offsetAt(guess);
  return offsetAt(before) === asUtc - before ? before : guess;
}
