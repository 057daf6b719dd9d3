import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./client.ts";

const MOST_RETRIES = 5;
/** Of what goes by itself: nobody there, too busy, not ready. */
const PASSING = new Set([0, 429, 502, 503, 504]);

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => error instanceof ApiError && PASSING.has(error.status) && failures < MOST_RETRIES,
      retryDelay: (failures, error) => waitMs(failures, error),
    },
    mutations: { retry: false },
  },
});

function waitMs(failures: number, error: Error): number {
  const told = error instanceof ApiError ? error.retryAfterMs : undefined;
  return told ?? Math.min(15_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
}
