import { hub, take } from "./client.ts";

/** What a device measures, and in what. */
export const sensorsOf = (uid: string) => ({
  queryKey: ["devices", "one", uid, "sensors"],
  queryFn: () => take(hub.GET("/api/v1/devices/{id}/sensors", { params: { path: { id: uid }, query: { limit: 200 } } })),
});
