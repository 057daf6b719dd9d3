import { queryOptions } from "@tanstack/react-query";
import { hub, onSessionEnd, take } from "./client.ts";
import { sendHeld } from "./held.ts";
import { unkeep } from "./kept.ts";
import { queries } from "./queries.ts";
import { onNews, tellTabs } from "./tabs.ts";

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: () => take(hub.GET("/api/v1/auth/me")),
  staleTime: 60_000,
});

/** Under this name this browser keeps what the hub said of them last. */
export const PREFERENCES = "preferences";

/** Whether the hub has its first administrator. */
export const setupState = queryOptions({
  queryKey: ["setup"],
  queryFn: () => take(hub.GET("/api/v1/setup")),
  staleTime: Number.POSITIVE_INFINITY,
});

export interface Credentials {
  readonly email: string;
  readonly password: string;
  readonly remember: boolean;
}

/** The session is a cookie that no script can read. */
export async function logIn({ email, password, remember }: Credentials): Promise<void> {
  await take(hub.POST("/api/v1/auth/login", { body: { email, password, cookie: true, remember_me: remember } }));
  queries.clear();
  tellTabs("in");
}

/** Throws when the hub was not told: the session goes on. */
export async function logOut(): Promise<void> {
  await sendHeld();
  await take(hub.POST("/api/v1/auth/logout"));
  forget();
}

/** A path of this hub, not an address that begins like one. */
export const isOurs = (next: unknown): next is string => typeof next === "string" && /^\/(?![/\\])/.test(next);

onSessionEnd(() => forget());
onNews((news) => {
  if (news === "changed") return;
  if (news === "moved") return location.reload();
  if (location.pathname !== "/auth/login") return void lookWho();
  const next = new URLSearchParams(location.search).get("next");
  if (news === "in") location.assign(isOurs(next) ? next : "/dashboard");
});

/** Nobody any more, which leads to the log-in, or somebody else, of whose things nothing is here. */
async function lookWho(): Promise<void> {
  const before = queries.getQueryData(me.queryKey)?.user?.id;
  const now = await queries.fetchQuery({ ...me, staleTime: 0, retry: false }).catch(() => undefined);
  if (before !== undefined && now !== undefined && now.user?.id !== before) location.reload();
}

// A page that the browser kept is of before.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
let isLeaving = false;

/** The login acts in another organisation: what a tab shows and listens to is of the one before. */
export function leave(path: string): void {
  tellTabs("moved");
  location.assign(path);
}

/** Whoever comes next sees nothing of whoever was here. */
function forget(): void {
  if (isLeaving || location.pathname.startsWith("/auth/") || location.pathname === "/setup") return;
  isLeaving = true;
  const path = location.pathname + location.search;
  queries.clear();
  tellTabs("out");
  unkeep(PREFERENCES);
  location.assign(`/auth/login?next=${encodeURIComponent(path)}`);
}
