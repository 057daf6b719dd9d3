import { useQueries } from "@tanstack/react-query";
import { hub, take } from "../../hub/client.ts";
import { sensorsOf } from "../../hub/sensors.ts";
import type { Series } from "./view.ts";

/** "Kitchen · temperature (°C)", as far as it is known. */
export function useSeriesNames(series: readonly Series[]): readonly string[] {
  const uids = [...new Set(series.map(({ uid }) => uid))];
  const devices = useQueries({
    queries: uids.map((uid) => ({
      queryKey: ["devices", "one", uid],
      queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id: uid } } })),
    })),
  });
  const sensors = useQueries({ queries: uids.map(sensorsOf) });
  return series.map(({ uid, key }) => {
    const at = uids.indexOf(uid);
    const sensor = sensors[at]?.data?.data.find((one) => one.key === key);
    const unit = sensor?.unit_of_measurement ? ` (${sensor.unit_of_measurement})` : "";
    return `${devices[at]?.data?.device.name ?? uid} · ${sensor?.name ?? key}${unit}`;
  });
}
