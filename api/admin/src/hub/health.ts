import { queryOptions } from "@tanstack/react-query";
import { hub, take } from "./client.ts";

export const health = queryOptions({ queryKey: ["health"], queryFn: () => take(hub.GET("/health")), refetchInterval: 30_000 });
