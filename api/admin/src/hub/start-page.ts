import { keepPreference, preferences, usePreference } from "./preferences.ts";
import { queries } from "./queries.ts";
import { useEffect } from "react";

/** Instead of a path: where the person was last. */
export const LAST = "last";
export const FIRST_PAGE = "/dashboard";
const SETTLED_MS = 2_000;

/** Where somebody who is logged in begins. Never waits long: a hub that is away says so on any page. */
export async function startPage(): Promise<string> {
  const told = await queries.fetchQuery({ ...preferences, retry: false }).catch(() => undefined);
  const wanted = told?.dashboard_settings["start_page"];
  const page = wanted === LAST ? told?.device_view_state["last_view"] : wanted;
  return typeof page === "string" && /^\/[a-z]/.test(page) ? page : FIRST_PAGE;
}

/** Keeps where the person is, for whoever wants to go on there. */
export function useLastView(href: string): void {
  const [page] = usePreference<string>("dashboard_settings", "start_page", FIRST_PAGE);
  const [last] = usePreference<string>("device_view_state", "last_view", FIRST_PAGE);
  useEffect(() => {
    if (page !== LAST || last === href) return undefined;
    const timer = setTimeout(() => keepPreference("device_view_state", "last_view", href), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [page, last, href]);
}
