export interface Row {
  readonly name: string;
  readonly unit: string;
  /** undefined: not measured there. */
  readonly hub?: number | undefined;
  readonly other?: number | undefined;
}

/** One line a row; where both were measured, the hub's share of the other. */
export function table(rows: readonly Row[], otherName: string): string {
  const cells = rows.map(({ name, unit, hub, other }) => [
    name,
    unit,
    figure(hub),
    figure(other),
    hub === undefined || other === undefined || other === 0 ? "" : `${(hub / other).toFixed(2)}×`,
  ]);
  const lines = [["", "unit", "hub", otherName, "ratio"], ...cells];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
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
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 100 ? 0 : 2);
}
