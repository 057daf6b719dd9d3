import type { QueryKey } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { ApiError, lastingHub } from "./client.ts";
import { queries } from "./queries.ts";

/** Time to think better of it. */
export const HELD_MS = 10_000;
/** By then a removal that another tab has sent is answered. */
const ANSWERED_MS = 5_000;

export interface Removal {
  /** Of what goes, unlike anything else's. */
  readonly id: string;
  /** Begins the keys of the queries that show it. */
  readonly queryKey: QueryKey;
  /** With a client whose requests outlive the page. */
  readonly send: (client: typeof lastingHub) => Promise<unknown>;
  /** It is gone, or was taken back, or was refused. */
  readonly onEnd: (refusal?: unknown) => void;
}

export type HeldState = "waiting" | "sending";

interface Held {
  readonly state: HeldState;
  readonly queryKey: QueryKey;
  /** Of this tab; without, another one holds it. */
  readonly removal?: Removal;
  readonly timer?: ReturnType<typeof setTimeout>;
}

/** What one tab tells the others. */
interface Told {
  readonly id: string;
  readonly queryKey: QueryKey;
  readonly state: HeldState | "undo" | "over";
}

const held = new Map<string, Held>();
const watchers = new Set<() => void>();
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("hexahub-held") : undefined;

/** Sent when the time is over, or when the page is left. */
export function hold(removal: Removal): void {
  const { id, queryKey } = removal;
  if (held.has(id)) return;
  put(id, { state: "waiting", queryKey, removal, timer: setTimeout(() => void send(id), HELD_MS) });
  tell(id, queryKey, "waiting");
}

/** It was not sent, and is not. */
export function takeBack(id: string): void {
  const { state, queryKey, removal } = held.get(id) ?? {};
  if (state !== "waiting" || !queryKey) return;
  put(id, undefined);
  tell(id, queryKey, removal ? "over" : "undo");
  removal?.onEnd();
}

/** All that waits; resolves when the hub has answered, and what shows it knows. */
export async function sendHeld(): Promise<void> {
  await Promise.all([...held.keys()].map(send));
}

async function send(id: string): Promise<void> {
  const { state, queryKey, removal } = held.get(id) ?? {};
  if (state !== "waiting" || !queryKey || !removal) return;
  put(id, { state: "sending", queryKey, removal });
  tell(id, queryKey, "sending");
  const refusal = await refusalOf(removal);
  removal.onEnd(refusal);
  await end(id, queryKey);
}

async function refusalOf({ send: ask }: Removal): Promise<unknown> {
  try {
    await ask(lastingHub);
    return undefined;
  } catch (error) {
    // Somebody else was faster.
    return error instanceof ApiError && error.status === 404 ? undefined : error;
  }
}

/** What shows it knows before it stands there as if nothing had been. */
async function end(id: string, queryKey: QueryKey): Promise<void> {
  await queries.invalidateQueries({ queryKey });
  put(id, undefined);
  tell(id, queryKey, "over");
}

function put(id: string, next: Held | undefined): void {
  clearTimeout(held.get(id)?.timer);
  if (next) held.set(id, next);
  else held.delete(id);
  for (const watcher of watchers) watcher();
}

const tell = (id: string, queryKey: QueryKey, state: Told["state"]): void => tabs?.postMessage({ id, queryKey, state } satisfies Told);

tabs?.addEventListener("message", ({ data }) => {
  const { id, queryKey, state } = data as Told;
  if (held.get(id)?.removal) {
    if (state === "undo") takeBack(id);
    return;
  }
  if (state === "over") {
    put(id, undefined);
    void queries.invalidateQueries({ queryKey });
  }
  // The other tab may be closed before it tells the end.
  if (state === "waiting" || state === "sending") {
    const wait = state === "waiting" ? HELD_MS + ANSWERED_MS : ANSWERED_MS;
    put(id, { state, queryKey, timer: setTimeout(() => void end(id, queryKey), wait) });
  }
});

// Where a page that is put away may never come back (`freeze`), and where it ends.
addEventListener("pagehide", () => void sendHeld());
document.addEventListener("freeze", () => void sendHeld());

export const useHeld = (id: string): HeldState | undefined => useSyncExternalStore(watch, () => held.get(id)?.state);

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
