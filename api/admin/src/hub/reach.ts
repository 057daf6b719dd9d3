import { useSyncExternalStore } from "react";

/** `silent`: nobody answers. `held`: the hub was asked too often, and takes requests again at `until` (of `performance.now()`). */
export type Reach = { readonly kind: "answers" | "silent" } | { readonly kind: "held"; readonly until: number };

const PROBE_LIMIT_MS = 3_000;
const PROBE_PAUSE_MS = 2_000;
/** Of a server between the hub and here, where the hub itself does not answer. */
const OF_ANOTHER = new Set([502, 503, 504]);

let reach: Reach = { kind: "answers" };
let isProbing = false;
let holding: ReturnType<typeof setTimeout> | undefined;
const watchers = new Set<() => void>();
const returns = new Set<() => void>();

/** Something speaks for it that the hub is away: it is asked, until it answers. */
export async function doubt(): Promise<void> {
  if (isProbing) return;
  isProbing = true;
  let isBack = false;
  while (!(await answers())) {
    isBack = true;
    set({ kind: "silent" });
    await new Promise((resolve) => {
      setTimeout(resolve, PROBE_PAUSE_MS);
    });
  }
  isProbing = false;
  if (!isBack) return;
  set({ kind: "answers" });
  for (const listener of returns) listener();
}

/** Nothing is taken for so long. */
export function hold(ms: number): void {
  if (reach.kind === "silent") return;
  set({ kind: "held", until: performance.now() + ms });
  clearTimeout(holding);
  holding = setTimeout(() => reach.kind === "held" && set({ kind: "answers" }), ms);
}

/** The hub was away and answers again. */
export function onReturn(listener: () => void): () => void {
  returns.add(listener);
  return () => returns.delete(listener);
}

export const useReach = (): Reach => useSyncExternalStore(subscribe, () => reach);

/** Whether it comes from the hub, as well as can be told. */
export const isOfHub = (response: Response): boolean =>
  !OF_ANOTHER.has(response.status) || /\bjson\b/.test(response.headers.get("content-type") ?? "");

async function answers(): Promise<boolean> {
  try {
    return isOfHub(await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(PROBE_LIMIT_MS) }));
  } catch {
    return false;
  }
}

function set(next: Reach): void {
  if (reach.kind === next.kind && next.kind !== "held") return;
  reach = next;
  for (const watcher of watchers) watcher();
}

function subscribe(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

addEventListener("offline", () => void doubt());
