import createClient, { type Middleware } from "openapi-fetch";
import { doubt, hold, isOfHub } from "./reach.ts";
import type { paths } from "./schema.d.ts";

/** What only asks is asked again soon; a change may take as long as a device does. */
const READ_LIMIT_MS = 20_000;
const CHANGE_LIMIT_MS = 60_000;
/** After so long without an answer it is looked whether anybody is there. */
const DOUBT_MS = 3_000;
const READS = new Set(["GET", "HEAD"]);
/** What is no answer of the hub says nothing but its status. */
const CODES: Readonly<Record<number, string>> = { 413: "payload_too_large", 429: "rate_limited", 502: "away", 503: "away", 504: "away" };

/** What the hub says when it does not do something (docs/openapi.json, `Error`). */
export class ApiError extends Error {
  readonly status: number;
  /** Of the hub, or `unreachable`, `timeout`, `outcome_unknown` (a change that nothing was heard of), `malformed` where it was not the hub that answered. */
  readonly code: string;
  readonly details: unknown;
  /** Finds the request in the hub's log; "" where it never got there. */
  readonly requestId: string;
  /** With 429 and 503: when it is worth asking again, of `performance.now()`, which no clock that is set wrong moves. */
  readonly retryAt: number | undefined;

  constructor(
    message: string,
    told: { status: number; code: string; details?: unknown; requestId?: string; retryAfterMs?: number | undefined },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "ApiError";
    this.status = told.status;
    this.code = told.code;
    this.details = told.details ?? null;
    this.requestId = told.requestId ?? "";
    this.retryAt = told.retryAfterMs === undefined ? undefined : performance.now() + told.retryAfterMs;
  }
}

/** Called when the hub says that nobody is logged in any more. */
type Listener = () => void;
const ended = new Set<Listener>();
export function onSessionEnd(listener: Listener): () => void {
  ended.add(listener);
  return () => ended.delete(listener);
}

const guard: Middleware = {
  onRequest({ request }) {
    // Tells the page of this hub from a form of another site (api/session-cookie.ts).
    request.headers.set("x-hexahub-csrf", "1");
    return request;
  },
  onError({ error, request }) {
    return failureOf(error, request.method);
  },
};

const OPTIONS = { baseUrl: location.origin, credentials: "same-origin", fetch: ask } as const;
export const hub = createClient<paths>(OPTIONS);
/** Of what is sent as the page is left: the browser sees it through. */
export const lastingHub = createClient<paths>({ ...OPTIONS, keepalive: true });
hub.use(guard);
lastingHub.use(guard);

/** With a limit of time; whoever gets no answer looks whether the hub is there at all. */
async function ask(request: Request): Promise<Response> {
  const isRead = READS.has(request.method);
  const limit = AbortSignal.timeout(isRead ? READ_LIMIT_MS : CHANGE_LIMIT_MS);
  const doubting = setTimeout(() => void doubt(), DOUBT_MS);
  try {
    const response = await fetch(request, { signal: AbortSignal.any([request.signal, limit]) });
    if (!isOfHub(response)) void doubt();
    const retryAfterMs = retryAfterMsOf(response);
    if (isRead && response.status === 429 && retryAfterMs !== undefined) hold(retryAfterMs);
    return response;
  } catch (error) {
    if (!request.signal.aborted) void doubt();
    throw error;
  } finally {
    clearTimeout(doubting);
  }
}

function failureOf(cause: unknown, method: string): ApiError {
  const isLate = cause instanceof DOMException && cause.name === "TimeoutError";
  const code = !isLate ? "unreachable" : READS.has(method) ? "timeout" : "outcome_unknown";
  return new ApiError(code, { status: 0, code }, { cause });
}

/** What was asked for, or an {@link ApiError}. */
export async function take<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await asked.catch((cause: unknown) => {
    // The answer began, and was no JSON or not all of it.
    throw cause instanceof ApiError ? cause : new ApiError("malformed", { status: 0, code: "malformed" }, { cause });
  });
  if (response.ok) return data as T;
  const refusal = errorOf(response, error);
  if (refusal.status === 401) for (const listener of ended) listener();
  throw refusal;
}

function errorOf(response: Response, body: unknown): ApiError {
  const { code, message, details, request_id } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  return new ApiError(typeof message === "string" ? message : `${response.status} ${response.statusText}`, {
    status: response.status,
    code: typeof code === "string" ? code : (CODES[response.status] ?? "malformed"),
    details,
    requestId: typeof request_id === "string" ? request_id : (response.headers.get("x-request-id") ?? ""),
    retryAfterMs: retryAfterMsOf(response),
  });
}

/** In seconds, or a date of the clock of whoever answers. */
function retryAfterMsOf({ headers }: Response): number | undefined {
  const told = headers.get("retry-after");
  if (told === null) return undefined;
  const ms = /^\d+$/.test(told) ? Number(told) * 1_000 : Date.parse(told) - Date.parse(headers.get("date") ?? "");
  return ms > 0 ? ms : undefined;
}
