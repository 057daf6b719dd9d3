import { useSyncExternalStore } from "react";
import { hub, take } from "./client.ts";
import { queries } from "./queries.ts";
import { doubt, onReturn } from "./reach.ts";

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
/** The hub's sign of life, which comes every 15 s, was missed twice. */
const SILENT_MS = 40_000;
/** A browser opens six connections to a hub, over all of its tabs: one that nobody looks at for so long gives its own back. */
const HIDDEN_MS = 10_000;
const REFRESH_MS = 1_000;
/** What the pages show beside values of sensors; the names of the events begin with what they are about. */
const EVENTS = ["device_status", "alerts", "automations", "tasks"];
const PATH = `/api/v1/live?topics=live_data,${EVENTS.join(",")}`;
const SHOWN: Readonly<Record<string, string>> = {
  device: "devices",
  alert: "alerts",
  automation: "automations",
  schedule: "schedules",
  task: "tasks",
};

let state: LiveState = "connecting";
let source: EventSource | undefined;
let waitMs = FIRST_WAIT_MS;
let hasMissed = false;
let reopening: ReturnType<typeof setTimeout> | undefined;
let listening: ReturnType<typeof setTimeout> | undefined;
let hiding: ReturnType<typeof setTimeout> | undefined;
/** What was asked for a moment ago, and whether it changed since. */
const refreshed = new Map<string, boolean>();
const watchers = new Set<() => void>();
const valueListeners = new Set<(value: LiveValue) => void>();
const eventListeners = new Set<(event: LiveEvent) => void>();

/** One stream for all that a tab shows; it comes back by itself. */
export function startLive(): () => void {
  open();
  const stopWaiting = onReturn(() => state === "lost" && open());
  document.addEventListener("visibilitychange", onVisibility);
  return () => {
    stopWaiting();
    document.removeEventListener("visibilitychange", onVisibility);
    clearTimeout(hiding);
    close();
  };
}

function close(): void {
  clearTimeout(reopening);
  clearTimeout(listening);
  source?.close();
  source = undefined;
}

function onVisibility(): void {
  clearTimeout(hiding);
  if (!document.hidden) {
    if (!source) open();
    return;
  }
  hiding = setTimeout(() => {
    hasMissed = true;
    close();
  }, HIDDEN_MS);
}

function open(): void {
  close();
  const stream = new EventSource(PATH);
  source = stream;
  hear();
  stream.addEventListener("ready", () => {
    waitMs = FIRST_WAIT_MS;
    // What changed while nobody listened is asked for.
    if (hasMissed) void queries.invalidateQueries();
    hasMissed = false;
    tell("open");
  });
  stream.addEventListener("live_data", (message) => {
    for (const listener of valueListeners) listener(JSON.parse(String(message.data)) as LiveValue);
  });
  for (const topic of EVENTS)
    stream.addEventListener(topic, (message) => {
      const event = JSON.parse(String(message.data)) as LiveEvent;
      const shown = SHOWN[event.type.split(".")[0] ?? ""];
      if (shown !== undefined) refresh(shown);
      for (const listener of eventListeners) listener(event);
    });
  stream.addEventListener("gap", () => void queries.invalidateQueries());
  for (const name of ["ready", "live_data", ...EVENTS, "heartbeat"]) stream.addEventListener(name, hear);
  stream.addEventListener("error", () => {
    if (source === stream) onLost(stream);
  });
}

/** A line that is dead, or a hub that stands still, ends no stream. */
function hear(): void {
  clearTimeout(listening);
  listening = setTimeout(() => {
    lose();
    open();
  }, SILENT_MS);
}

function onLost(stream: EventSource): void {
  lose();
  // The browser comes back to a stream that broke, and gives up on one that was refused: maybe nobody is logged in any more.
  if (stream.readyState !== EventSource.CLOSED) return;
  take(hub.GET("/api/v1/auth/me")).catch(() => undefined);
  clearTimeout(reopening);
  reopening = setTimeout(open, waitMs);
  waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
}

function lose(): void {
  hasMissed = true;
  tell("lost");
  void doubt();
}

/** At once, and of many events together once more. */
function refresh(what: string): void {
  if (refreshed.has(what)) {
    refreshed.set(what, true);
    return;
  }
  void queries.invalidateQueries({ queryKey: [what] });
  refreshed.set(what, false);
  setTimeout(() => {
    const isDue = refreshed.get(what);
    refreshed.delete(what);
    if (isDue) refresh(what);
  }, REFRESH_MS);
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
