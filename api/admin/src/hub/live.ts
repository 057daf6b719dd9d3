import { useSyncExternalStore } from "react";
import { queries } from "./queries.ts";

/** As `live_data` tells it (docs/readings.md). */
export interface LiveValue {
  readonly device_id: string;
  readonly uid: string;
  readonly key: string;
  readonly value: number | string | boolean;
  readonly ts: string;
}
export interface LiveEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}
export type LiveState = "connecting" | "open" | "lost";

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

let state: LiveState = "connecting";
let source: EventSource | undefined;
let waitMs = FIRST_WAIT_MS;
let timer: ReturnType<typeof setTimeout> | undefined;
const watchers = new Set<() => void>();
const valueListeners = new Set<(value: LiveValue) => void>();
const eventListeners = new Set<(event: LiveEvent) => void>();

/** One stream for all that a tab shows; it comes back by itself. */
export function startLive(): () => void {
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
}

function open(): void {
  const stream = new EventSource("/api/v1/live");
  source = stream;
  stream.addEventListener("ready", () => {
    waitMs = FIRST_WAIT_MS;
    // What changed while nobody listened is asked for.
    if (state === "lost") void queries.invalidateQueries();
    tell("open");
  });
  stream.addEventListener("live_data", (message) => {
    for (const listener of valueListeners) listener(JSON.parse(String(message.data)) as LiveValue);
  });
  for (const topic of ["device_status", "alerts"])
    stream.addEventListener(topic, (message) => {
      const event = JSON.parse(String(message.data)) as LiveEvent;
      void queries.invalidateQueries({ queryKey: [topic === "alerts" ? "alerts" : "devices"] });
      for (const listener of eventListeners) listener(event);
    });
  stream.addEventListener("gap", () => void queries.invalidateQueries());
  stream.addEventListener("error", () => {
    tell("lost");
    // The browser comes back to a stream that broke, and gives up on one that was refused.
    if (stream.readyState !== EventSource.CLOSED || source !== stream) return;
    timer = setTimeout(open, waitMs);
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  });
}

function tell(next: LiveState): void {
  if (state === next) return;
  state = next;
  for (const watcher of watchers) watcher();
}

export const useLiveState = (): LiveState => useSyncExternalStore(subscribe, () => state);

function subscribe(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

export function onLiveValue(listener: (value: LiveValue) => void): () => void {
  valueListeners.add(listener);
  return () => valueListeners.delete(listener);
}

export function onLiveEvent(listener: (event: LiveEvent) => void): () => void {
  eventListeners.add(listener);
  return () => eventListeners.delete(listener);
}
