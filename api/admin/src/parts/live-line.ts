import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { hub, take } from "../hub/client.ts";
import { onLiveValue } from "../hub/live.ts";
import type { Line } from "./line-chart.tsx";

const GATHER_MS = 250;
const MOST_POINTS = 5_000;

/** A series' last readings, and those that come. */
export function useLiveLine(series: { readonly uid: string; readonly key: string } | undefined, hours: number): Line | undefined {
  const name = series && `${series.uid}:${series.key}`;
  const past = useQuery({
    queryKey: ["readings", "chart", name, hours],
    queryFn: () =>
      take(
        hub.GET("/api/v1/readings/chart", {
          params: { query: { series: name ?? "", from: new Date(Date.now() - hours * 3_600_000).toISOString(), points: 500 } },
        }),
      ),
    enabled: name !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const [fresh, setFresh] = useState<readonly (readonly [number, number])[]>([]);
  useEffect(() => {
    setFresh([]);
    if (!series) return undefined;
    let gathered: [number, number][] = [];
    // A burst is drawn once.
    const timer = setInterval(() => {
      if (gathered.length === 0) return;
      const more = gathered;
      gathered = [];
      setFresh((before) => [...before, ...more].slice(-MOST_POINTS));
    }, GATHER_MS);
    const stop = onLiveValue(({ uid, key, value, ts }) => {
      if (uid === series.uid && key === series.key && typeof value === "number") gathered.push([Date.parse(ts), value]);
    });
    return () => {
      clearInterval(timer);
      stop();
    };
  }, [name]);
  if (!series || !past.data) return undefined;
  const before = (past.data.data[0]?.points ?? []).map(([ms, value]) => [Number(ms), typeof value === "number" ? value : null] as const);
  const last = before.at(-1)?.[0] ?? 0;
  return { label: series.key, points: [...before, ...fresh.filter(([ms]) => ms > last)] };
}
