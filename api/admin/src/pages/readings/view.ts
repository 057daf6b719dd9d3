import { useNavigate, useSearch } from "@tanstack/react-router";

export const RANGES = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000 } as const;
export type Range = keyof typeof RANGES;
export const AGGREGATES = ["avg", "min", "max", "sum", "count", "first", "last"] as const;
export type Aggregate = (typeof AGGREGATES)[number];
/** As many as there are colours that can be told apart. */
export const MOST_SERIES = 8;

export interface Series {
  readonly uid: string;
  readonly key: string;
}

/** What is looked at; all of it stands in the URL. */
export interface View {
  readonly series: readonly Series[];
  readonly range: Range;
  /** ISO 8601, in place of a range that ends now. */
  readonly span: { readonly from: string; readonly to: string } | undefined;
  /** undefined: as many points as show the shape. */
  readonly bucket: string | undefined;
  readonly aggregate: Aggregate;
}

export type ViewChange = Readonly<Record<string, string | undefined>>;

export function useView(): { readonly view: View; readonly set: (change: ViewChange) => void } {
  const search = useSearch({ from: "/shell/readings" });
  const navigate = useNavigate({ from: "/readings" });
  return {
    view: viewOf(search),
    set: (change) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true }),
  };
}

export function viewOf({ series = "", range, from, to, bucket, agg }: Readonly<Record<string, string | undefined>>): View {
  const isSpan = from !== undefined && to !== undefined && Date.parse(from) < Date.parse(to);
  return {
    series: seriesOf(series),
    range: range !== undefined && Object.hasOwn(RANGES, range) ? (range as Range) : "24h",
    span: isSpan ? { from, to } : undefined,
    bucket: bucket !== undefined && /^[1-9]\d*[smhd]$/.test(bucket) ? bucket : undefined,
    aggregate: AGGREGATES.find((one) => one === agg) ?? "avg",
  };
}

function seriesOf(text: string): Series[] {
  const pairs = text.split(",").map((pair) => pair.split(":"));
  return pairs.flatMap(([uid, key]) => (uid && key ? [{ uid, key }] : [])).slice(0, MOST_SERIES);
}

export const nameOf = ({ uid, key }: Series): string => `${uid}:${key}`;
export const seriesText = (series: readonly Series[]): string | undefined =>
  series.length === 0 ? undefined : series.map(nameOf).join(",");

/** ms since 1970 */
export function boundsOf({ span, range }: View, now: number): { readonly from: number; readonly to: number } {
  return span ? { from: Date.parse(span.from), to: Date.parse(span.to) } : { from: now - RANGES[range], to: now };
}

/** Nearer or farther around the middle, or a part of the span along it, never past now. */
export function moved({ from, to }: { readonly from: number; readonly to: number }, { zoom = 1, by = 0 }, now: number): ViewChange {
  const length = Math.max(1_000, (to - from) * zoom);
  const middle = (from + to) / 2 + (to - from) * by;
  const end = Math.min(now, middle + length / 2);
  return { from: new Date(end - length).toISOString(), to: new Date(end).toISOString() };
}
