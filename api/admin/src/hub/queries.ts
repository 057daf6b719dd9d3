import { MutationCache, QueryClient } from "@tanstack/react-query";
import { ApiError } from "./client.ts";
import { onReturn } from "./reach.ts";
import { onNews, tellTabs } from "./tabs.ts";

const MOST_RETRIES = 5;
/** Of what goes by itself: nobody there, too busy, not ready. */
const PASSING = new Set([0, 429, 502, 503, 504]);
/** Whoever is told to wait longer is better told so. */
const LONGEST_WAIT_MS = 120_000;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      refetchOnReconnect: true,
      // The hub may be on this very machine; whether it answers is found out by asking.
      networkMode: "always",
      retry: (failures, error) => failures < MOST_RETRIES && isPassing(error),
      retryDelay: waitMs,
    },
    // Never again by itself, nor later: what was meant then may be wrong by now.
    mutations: { retry: false, networkMode: "always" },
  },
  mutationCache: new MutationCache({ onSuccess: () => tellTabs("changed") }),
});

onReturn(() => void queries.invalidateQueries());
onNews((news) => {
  // A tab that nobody looks at asks when somebody does.
  if (news === "changed") void queries.invalidateQueries({ refetchType: document.hidden ? "none" : "active" });
});

/** A hub that was too slow is asked again when it answers. */
function isPassing(error: Error): boolean {
  if (!(error instanceof ApiError) || !PASSING.has(error.status) || error.code === "timeout") return false;
  return error.retryAt === undefined || error.retryAt - performance.now() < LONGEST_WAIT_MS;
}

function waitMs(failures: number, error: Error): number {
  const retryAt = error instanceof ApiError ? error.retryAt : undefined;
  if (retryAt !== undefined) return Math.max(0, retryAt - performance.now());
  return Math.min(15_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
}
