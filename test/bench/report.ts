/** What a row shall reach, as a ratio to the other broker or by itself. */
export type Goal =
  | { readonly atLeastRatio: number }
  | { readonly atMostRatio: number }
  | { readonly atLeast: number }
  | { readonly atMost: number };

/** undefined: not measured there. */
export interface Sides {
  readonly hub?: number | undefined;
  readonly other?: number | undefined;
}

export interface Row extends Sides {
  readonly name: string;
  readonly unit: string;
  readonly goal?: Goal | undefined;
  /** What the generator reached against the sink, in the row's unit. */
  readonly sink?: number | undefined;
  /** The generator's share of a core: near 1 it may be the bottleneck, when `sink` is near the figure too. */
  readonly generator?: Sides | undefined;
}

/** undefined when the row has no goal, or what it is compared with was not measured. */
export function isMet({ hub, other, goal }: Row): boolean | undefined {
  if (goal === undefined || hub === undefined) return undefined;
  if ("atLeast" in goal) return hub >= goal.atLeast;
  if ("atMost" in goal) return hub <= goal.atMost;
  if (other === undefined || other === 0) return undefined;
  return "atLeastRatio" in goal ? hub / other >= goal.atLeastRatio : hub / other <= goal.atMostRatio;
}

const HEAD = ["", "unit", "hub", "other", "ratio", "target", "", "sink", "generator"];
const TEXT_COLUMNS = new Set([0, 1, 5, 6]);

/** One line a row; where both were measured, the hub's share of the other. */
export function table(rows: readonly Row[], otherName: string): string {
  const lines = [HEAD.map((cell) => (cell === "other" ? otherName : cell)), ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (TEXT_COLUMNS.has(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function cells(row: Row): string[] {
  const { name, unit, hub, other, goal, sink, generator } = row;
  const met = isMet(row);
  return [
    name,
    unit,
    figure(hub),
    figure(other),
    hub === undefined || other === undefined || other === 0 ? "" : `${(hub / other).toFixed(2)}×`,
    goal === undefined ? "" : goalText(goal, unit),
    met === undefined ? "" : met ? "✓" : "✗",
    figure(sink),
    [generator?.hub, generator?.other]
      .filter((share) => share !== undefined)
      .map((share) => share.toFixed(2))
      .join(" / "),
  ];
}

function goalText(goal: Goal, unit: string): string {
  if ("atLeastRatio" in goal) return `≥ ${goal.atLeastRatio}×`;
  if ("atMostRatio" in goal) return `≤ ${goal.atMostRatio}×`;
  return "atLeast" in goal ? `≥ ${figure(goal.atLeast)} ${unit}` : `≤ ${figure(goal.atMost)} ${unit}`;
}

export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle];
  if (high === undefined || sorted.length % 2 === 1) return high;
  return ((sorted[middle - 1] ?? high) + high) / 2;
}

function figure(value: number | undefined): string {
  if (value === undefined) return "";
  if (value >= 1_000) return Math.round(value).toLocaleString("en");
  return Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
