import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { hub, take } from "../../hub/client.ts";
import { onLiveValue } from "../../hub/live.ts";
import type { components } from "../../hub/schema.d.ts";
import type { Line } from "../../parts/line-chart.tsx";
import { boundsOf, nameOf, RANGES, seriesText, type View } from "./view.ts";

type Chart = components["schemas"]["Chart"];
type Point = readonly [number, number | null];

/** More than a wide screen has columns of two pixels. */
const POINTS = 2_000;
const GATHER_MS = 250;
const BUCKETS_MS = 10_000;
const AFRESH_MS = 60_000;

export interface Asked {
  readonly query: UseQueryResult<Chart>;
  readonly lines: readonly Line[];
}

/** What the hub kept, and, where the range ends now, what comes. */
export function useLines(view: View, names: readonly string[]): Asked {
  const { series, range, span, bucket, aggregate } = view;
  const asked = seriesText(series);
  const query = useQuery({
    queryKey: ["readings", "chart", asked, span ?? range, bucket, aggregate],
    queryFn: async ({ signal }) => {
      const { from, to } = boundsOf(view, Date.now());
      const time = { from: new Date(from).toISOString(), ...(span ? { to: new Date(to).toISOString() } : {}) };
      const terms = bucket === undefined ? { points: POINTS } : { bucket, agg: aggregate };
      return take(hub.GET("/api/v1/readings/chart", { signal, params: { query: { series: asked ?? "", ...time, ...terms } } }));
    },
    enabled: asked !== undefined,
    placeholderData: keepPreviousData,
    staleTime: span ? Number.POSITIVE_INFINITY : 0,
    refetchInterval: span ? false : bucket === undefined ? AFRESH_MS : BUCKETS_MS,
  });
  const fresh = useFresh(asked, span === undefined && bucket === undefined);
  const labels = names.join("\n");
  const lines = useMemo(() => {
    const oldest = span ? 0 : Date.now() - RANGES[range];
    return series.map((one, index) => lineOf(query.data, fresh, { name: nameOf(one), label: names[index] ?? "", oldest }));
    // The series and their names are other arrays each time, and mostly the same.
  }, [query.data, fresh, asked, labels, range, span?.from, span?.to]);
  return { query, lines };
}

function lineOf(
  chart: Chart | undefined,
  fresh: ReadonlyMap<string, readonly Point[]>,
  { name, label, oldest }: { readonly name: string; readonly label: string; readonly oldest: number },
): Line {
  const kept = chart?.data.find(({ uid, key }) => `${uid}:${key}` === name)?.points ?? [];
  const points = kept.map(([ms, value]): Point => [Number(ms), numberOf(value)]);
  const last = points.at(-1)?.[0] ?? 0;
  const more = (fresh.get(name) ?? []).filter(([ms]) => ms > last);
  return { label, points: [...points, ...more].filter(([ms]) => ms >= oldest) };
}

/** true and false are drawn as 1 and 0, texts not at all. */
const numberOf = (value: unknown): number | null => (typeof value === "number" ? value : typeof value === "boolean" ? Number(value) : null);

/** A burst is drawn once. */
function useFresh(asked: string | undefined, isOn: boolean): ReadonlyMap<string, readonly Point[]> {
  const [fresh, setFresh] = useState<ReadonlyMap<string, readonly Point[]>>(new Map());
  useEffect(() => {
    setFresh(new Map());
    if (!isOn || asked === undefined) return undefined;
    const wanted = new Set(asked.split(","));
    const after = new Map<string, Point[]>();
    let isNew = false;
    const stop = onLiveValue(({ uid, key, value, ts }) => {
      const name = `${uid}:${key}`;
      const number = numberOf(value);
      if (!wanted.has(name) || number === null) return;
      after.set(name, [...(after.get(name) ?? []), [Date.parse(ts), number] as const].slice(-POINTS));
      isNew = true;
    });
    const timer = setInterval(() => {
      if (isNew) setFresh(new Map(after));
      isNew = false;
    }, GATHER_MS);
    return () => {
      clearInterval(timer);
      stop();
    };
  }, [asked, isOn]);
  return fresh;
}
