import Type from "typebox";
import { ERRORS, type ErrorCode, HubError } from "../core/errors.ts";
import { hubErrorOf } from "../store/database-errors.ts";

/** The body of every error. */
export const ErrorEnvelope = Type.Object(
  {
    code: Type.Enum(Object.keys(ERRORS) as ErrorCode[], { description: "The contract; the message is for people" }),
    message: Type.String(),
    details: Type.Unsafe<unknown>({
      description: "Depends on the code; for validation_error a list of path and message. null when there is nothing to say",
    }),
    request_id: Type.String({ description: "Finds the request in the hub's log" }),
  },
  { title: "Error" },
);

/** A bug keeps its message to itself: whoever asked gets the request id, the log has the rest. */
export function asHubError(error: unknown): HubError {
  return hubErrorOf(error) ?? new HubError("internal_error", "the hub failed; its log has the request id", { cause: error });
}

export function envelopeOf(error: HubError, requestId: string): Record<string, unknown> {
  return { code: error.code, message: error.message, details: error.details, request_id: requestId };
}

/** RFC 9457, with the envelope's members as extensions. */
export function problemOf(error: HubError, requestId: string): Record<string, unknown> {
  return {
    type: `urn:hexahub:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    details: error.details,
    request_id: requestId,
  };
}

/** Headers that belong to a status, whoever raised it. */
export function headersOf(error: HubError): Record<string, string> {
  switch (error.code) {
    case "unauthorized":
      return { "www-authenticate": 'Bearer realm="hexahub"' };
    case "https_required":
      return { upgrade: "TLS/1.2, HTTP/1.1", connection: "upgrade, close" };
    case "rate_limited":
    case "pin_locked":
      return { "retry-after": String((error.details as { retry_after_s?: number } | null)?.retry_after_s ?? 1) };
    case "idempotency_in_progress":
      return { "retry-after": "1" };
    default:
      return {};
  }
}
