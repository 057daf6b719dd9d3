import { lazyRouteComponent } from "@tanstack/react-router";
import { ApiError } from "./client.ts";

/** Which of the hub's consoles this tab was loaded anew for. */
const KEPT = "newer-console";
const LIMIT_MS = 10_000;
/** Its name changes with each build. */
const entryOf = (page: Document): string | null | undefined => page.querySelector("script[type=module][src]")?.getAttribute("src");
const running = entryOf(document);

/** As `lazyRouteComponent`; what could not be fetched is an `ApiError`, and the router does not load the page anew as it would, which helps nobody while the hub is away. */
export const lazyPage: typeof lazyRouteComponent = (importer, name) =>
  lazyRouteComponent(async () => {
    try {
      return await importer();
    } catch (cause) {
      throw new ApiError("part_missing", { status: 0, code: "part_missing" }, { cause });
    }
  }, name);

/**
 * The hub has another console than the one that runs here, whose files are gone: it is loaded, once for each. Resolves with what is wrong when
 * that is not it.
 */
export async function loadNewer(error: ApiError): Promise<ApiError> {
  let served: string | null | undefined;
  try {
    const answer = await fetch(location.pathname, {
      headers: { accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    served = entryOf(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch (cause) {
    return new ApiError("unreachable", { status: 0, code: "unreachable" }, { cause });
  }
  if (!served || served === running || sessionStorage.getItem(KEPT) === served) return error;
  sessionStorage.setItem(KEPT, served);
  location.reload();
  return await new Promise(() => {});
}

/** Whether that has just been done. */
export function takeNewer(): boolean {
  if (!running || sessionStorage.getItem(KEPT) !== running) return false;
  sessionStorage.removeItem(KEPT);
  return true;
}
