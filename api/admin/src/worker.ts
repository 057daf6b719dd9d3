/**
 * The service worker: keeps the files of the console, so that it starts while the hub is away and says so. What the hub says is never kept, and its
 * pages come from it whenever it answers.
 */

/** Put in by the build (api/admin/worker.ts): what the first page takes; the file that index.html starts is the first. */
declare const SHELL_FILES: readonly [string, ...string[]];

interface Lasting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Asking extends Lasting {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface WorkerScope {
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
}

const INDEX = "/index.html";
const PREFIX = "console ";
const CACHE = PREFIX + SHELL_FILES[0];
/** A hub that stands still answers nobody. */
const PATIENCE_MS = 4_000;
/** Of what stands before a hub that is away. */
const AWAY = new Set([502, 503, 504]);
const scope = self as unknown as WorkerScope;

addEventListener("install", (event) => (event as Lasting).waitUntil(keep()));
addEventListener("activate", (event) => (event as Lasting).waitUntil(takeOver()));
addEventListener("fetch", (event) => {
  const asking = event as Asking;
  const { request } = asking;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (isPage(pathname)) asking.respondWith(page(request));
  } else if (pathname.startsWith("/assets/") || SHELL_FILES.includes(pathname)) asking.respondWith(file(asking));
});

/** A path that api/admin/console.ts answers with the page. */
const isPage = (path: string): boolean => !/^\/(?:api|oauth|assets|docs|health|metrics|mqtt)(?:\/|$)/.test(path) && !/\.[^/]*$/.test(path);

async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  const index = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" });
  if (!(await index.clone().text()).includes(SHELL_FILES[0])) throw new Error("the hub has another console by now");
  await cache.addAll([...SHELL_FILES]);
  await cache.put(INDEX, index);
  await scope.skipWaiting();
}

async function takeOver(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** The hub's own as long as it answers, so that none is older than the hub. */
async function page(request: Request): Promise<Response> {
  const kept = await caches.match(INDEX, { cacheName: CACHE });
  if (!kept) return await fetch(request);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return AWAY.has(answer.status) ? kept : answer;
  } catch {
    return kept;
  }
}

/** Its name changes with what is in it. */
async function file(asking: Asking): Promise<Response> {
  const { request } = asking;
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept) return kept;
  const answer = await fetch(request);
  // Not the page of a network that wants a log-in first.
  const isFile = answer.ok && !/\bhtml\b/.test(answer.headers.get("content-type") ?? "");
  if (isFile) asking.waitUntil(cache.put(request, answer.clone()).catch(() => undefined));
  return answer;
}
