import { queryOptions } from "@tanstack/react-query";
import { hub, onSessionEnd, take } from "./client.ts";
import { queries } from "./queries.ts";

export const me = queryOptions({
  queryKey: ["me"],
  queryFn: () => take(hub.GET("/api/v1/auth/me")),
  staleTime: 60_000,
});

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
  tabs?.postMessage("in");
}

export async function logOut(): Promise<void> {
  await take(hub.POST("/api/v1/auth/logout")).catch(() => undefined);
  forget();
  tabs?.postMessage("out");
}

/** What one tab does, the others know. */
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("hexahub-session") : undefined;
tabs?.addEventListener("message", ({ data }) => {
  if (data === "in") void queries.invalidateQueries();
  else forget();
});
onSessionEnd(() => forget());

/** Whoever comes next sees nothing of whoever was here. */
function forget(): void {
  const path = location.pathname + location.search;
  queries.clear();
  if (location.pathname.startsWith("/auth/") || location.pathname === "/setup") return;
  location.assign(`/auth/login?next=${encodeURIComponent(path)}`);
}
