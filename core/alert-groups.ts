/** A device that is not there any more. */
export interface Lost {
  readonly device: string;
  readonly siteId: string | null;
  /** When its session ended, in ms since 1970. */
  readonly at: number;
  /** Devices that it is behind. */
  readonly gateways: readonly string[];
}

/** How many devices there are. */
export interface Fleet {
  readonly organization: number;
  readonly sites: ReadonlyMap<string, number>;
  /** Behind each gateway, and itself. */
  readonly gateways: ReadonlyMap<string, number>;
}

/** What was lost as a whole: `organization *`, `site <id>` or `gateway <device>`. */
export interface Loss {
  readonly subject: string;
  readonly devices: readonly string[];
  readonly total: number;
}

/** Fewer are told one by one. */
export const LEAST_LOST = 5;
export const LOSS_WINDOW_MS = 60_000;

/** With a blank, as no device's uid has one. */
export const ORGANIZATION = "organization *";
export const siteSubject = (id: string): string => `site ${id}`;
export const gatewaySubject = (device: string): string => `gateway ${device}`;

/**
 * Makes one of many: the organisation when all its devices went, a site when more than half of it did, both within the window and
 * not fewer than {@link LEAST_LOST}; a gateway with what is behind it. What is left over is alone.
 */
export function lossesOf(lost: readonly Lost[], fleet: Fleet): { readonly losses: readonly Loss[]; readonly alone: readonly string[] } {
  const together = largestWithin(lost);
  const sites = new Set(together.map(({ siteId }) => siteId));
  if (together.length >= LEAST_LOST && together.length >= fleet.organization && sites.size > 1)
    return { losses: [lossOf(ORGANIZATION, lost, fleet.organization)], alone: [] };
  const losses: Loss[] = [];
  let left = [...lost];
  for (const [siteId, group] of Map.groupBy(lost, (one) => one.siteId)) {
    const total = fleet.sites.get(siteId ?? "") ?? 0;
    const near = largestWithin(group);
    // Devices of no site are a group of their own only where they are all that there is.
    const isWhole = siteId === null ? near.length >= fleet.organization : near.length * 2 > total;
    if (near.length < LEAST_LOST || !isWhole) continue;
    losses.push(siteId === null ? lossOf(ORGANIZATION, group, fleet.organization) : lossOf(siteSubject(siteId), group, total));
    left = left.filter((one) => one.siteId !== siteId);
  }
  const gone = new Set(left.map(({ device }) => device));
  for (const { device } of left) {
    const group = left.filter((one) => one.device === device || one.gateways.includes(device));
    if (group.length < 2 || !gone.has(device)) continue;
    losses.push(lossOf(gatewaySubject(device), group, fleet.gateways.get(device) ?? group.length));
    left = left.filter((one) => !group.includes(one));
    for (const one of group) gone.delete(one.device);
  }
  return { losses, alone: left.map(({ device }) => device) };
}

const lossOf = (subject: string, lost: readonly Lost[], total: number): Loss => ({
  subject,
  devices: lost.map(({ device }) => device),
  total: Math.max(total, lost.length),
});

/** The open loss that the device belongs to, whoever came first. */
export function lossFor({ siteId, gateways }: Pick<Lost, "siteId" | "gateways">, open: ReadonlySet<string>): string | undefined {
  const subjects = [ORGANIZATION, ...(siteId === null ? [] : [siteSubject(siteId)]), ...gateways.map(gatewaySubject)];
  return subjects.find((subject) => open.has(subject));
}

/** Whether a loss is still one: of a gateway while the gateway is away, of the others while more than half is. */
export function isStillLost(subject: string, away: readonly string[], total: number): boolean {
  const [kind, device] = subject.split(" ");
  return kind === "gateway" ? away.includes(device as string) : away.length * 2 > total;
}

/** The most devices whose sessions ended within one window. */
function largestWithin(lost: readonly Lost[]): readonly Lost[] {
  const sorted = lost.toSorted((a, b) => a.at - b.at);
  let best: readonly Lost[] = [];
  let from = 0;
  for (let to = 0; to < sorted.length; to++) {
    while ((sorted[to] as Lost).at - (sorted[from] as Lost).at > LOSS_WINDOW_MS) from++;
    if (to + 1 - from > best.length) best = sorted.slice(from, to + 1);
  }
  return best;
}
