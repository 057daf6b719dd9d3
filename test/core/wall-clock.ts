/** What Node's own calendar says of zones: slow, and nothing of ours in it. */
export type WallClock = (instant: number) => number;

/** From an instant to the UTC milliseconds of what is shown then. */
export function wallClock(timeZone: string): WallClock {
  const two = "2-digit" as const;
  const shown = { year: "numeric", month: two, day: two, hour: two, minute: two, second: two } as const;
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, ...shown, hourCycle: "h23" });
  return (instant) => Date.parse(`${format.format(instant).replace(" ", "T")}Z`);
}

export interface Change {
  /** The first instant with the new offset. */
  readonly at: number;
  /** How far the clocks go forward; negative: back. */
  readonly by: number;
}

const HOUR = 3_600_000;

/** Found by looking at every sixth hour. */
export function changesIn(clock: WallClock, from: number, to: number): Change[] {
  const changes: Change[] = [];
  const offsetAt = (instant: number): number => clock(instant) - instant;
  for (let at = from; at < to; at += 6 * HOUR) {
    let [before, after] = [at, at + 6 * HOUR];
    const by = offsetAt(after) - offsetAt(before);
    if (by === 0) continue;
    while (after - before > 1_000) {
      const middle = before + Math.floor((after - before) / 2_000) * 1_000;
      if (offsetAt(middle) === offsetAt(at)) before = middle;
      else after = middle;
    }
    changes.push({ at: after, by });
  }
  return changes;
}

/** Of one zone and the years in which its clocks are changed as nowhere else. */
export const ODD_CHANGES = {
  "half an hour": { timeZone: "Australia/Lord_Howe", years: [2023, 2025] },
  "two hours": { timeZone: "Antarctica/Troll", years: [2023, 2025] },
  "a day that never was": { timeZone: "Pacific/Apia", years: [2011, 2012] },
  "another such day": { timeZone: "Pacific/Kwajalein", years: [1993, 1993] },
  "a day that came twice": { timeZone: "Pacific/Kwajalein", years: [1969, 1969] },
  "at midnight, Havana": { timeZone: "America/Havana", years: [2023, 2025] },
  "at midnight, Cairo": { timeZone: "Africa/Cairo", years: [2023, 2025] },
  "at midnight, Beirut": { timeZone: "Asia/Beirut", years: [2023, 2025] },
  "at midnight, São Paulo": { timeZone: "America/Sao_Paulo", years: [2016, 2018] },
  "winter is the exception": { timeZone: "Europe/Dublin", years: [2023, 2025] },
  "back for Ramadan": { timeZone: "Africa/Casablanca", years: [2023, 2025] },
  "by 44 minutes and 30 seconds": { timeZone: "Africa/Monrovia", years: [1972, 1972] },
  "quarter hours": { timeZone: "Asia/Kathmandu", years: [1985, 1986] },
} as const;

export const oddChanges = (): { readonly name: string; readonly timeZone: string; readonly change: Change }[] =>
  Object.entries(ODD_CHANGES).flatMap(([name, { timeZone, years }]) =>
    changesIn(wallClock(timeZone), Date.UTC(years[0], 0, 1), Date.UTC(years[1] + 1, 0, 1)).map((change) => ({ name, timeZone, change })),
  );
