import { queryOptions } from "@tanstack/react-query";
import { hub, take } from "./client.ts";

const MOST = 200;

/** Where devices can be. */
export const rooms = queryOptions({
  queryKey: ["rooms"],
  queryFn: () => take(hub.GET("/api/v1/rooms", { params: { query: { limit: MOST } } })),
});
