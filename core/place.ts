/** A building or a plot: where rooms are. */
export interface Site {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly description: string | null;
  /** IANA. */
  readonly timeZone: string;
  /** Degrees; both or neither. */
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly address: string | null;
  readonly createdAt: string;
  readonly lastUpdated: string;
}

export interface Room {
  readonly id: string;
  readonly organizationId: string;
  readonly siteId: string;
  readonly name: string;
  readonly description: string | null;
  readonly floor: string | null;
  readonly createdAt: string;
  readonly lastUpdated: string;
}

/** What an organisation may have of each; of relationships those that it made itself, members of projects included. */
export const MOST = { sites: 1_000, rooms: 10_000, projects: 1_000, relationships: 10_000, siteGrants: 10_000 } as const;

/** Whether it is a zone by name, which has daylight saving time; an offset such as +01:00 has not. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
