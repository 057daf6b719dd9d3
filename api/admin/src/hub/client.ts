import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./schema.d.ts";

/** What the hub says when it does not do something (docs/openapi.json, `Error`). */
export class ApiError extends Error {
  readonly status: number;
  /** `unreachable` where nobody answered. */
  readonly code: string;
  readonly details: unknown;
  /** Finds the request in the hub's log; "" where it never got there. */
  readonly requestId: string;
  /** ms, with 429 and 503 */
  readonly retryAfterMs: number | undefined;

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
    this.retryAfterMs = told.retryAfterMs;
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
  onError({ error }) {
    return new ApiError("unreachable", { status: 0, code: "unreachable" }, { cause: error });
  },
};

export const hub = createClient<paths>({ baseUrl: location.origin, credentials: "same-origin" });
hub.use(guard);

/** What was asked for, or an {@link ApiError}. */
export async function take<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  const refusal = errorOf(response, error);
  if (refusal.status === 401) for (const listener of ended) listener();
  throw refusal;
}

function errorOf(response: Response, body: unknown): ApiError {
  const { code, message, details, request_id } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const seconds = Number(response.headers.get("retry-after"));
  return new ApiError(typeof message === "string" ? message : response.statusText, {
    status: response.status,
    code: typeof code === "string" ? code : "unreachable",
    details,
    requestId: typeof request_id === "string" ? request_id : (response.headers.get("x-request-id") ?? ""),
    retryAfterMs: seconds > 0 ? seconds * 1_000 : undefined,
  });
}
