import { AlexaError, type AlexaErrorType } from "../../core/alexa.ts";
import { type ErrorCode, HubError } from "../../core/errors.ts";

const TYPES: Partial<Readonly<Record<ErrorCode, AlexaErrorType>>> = {
  unauthorized: "INVALID_AUTHORIZATION_CREDENTIAL",
  forbidden: "INSUFFICIENT_PERMISSIONS",
  approval_refused: "INSUFFICIENT_PERMISSIONS",
  not_found: "NO_SUCH_ENDPOINT",
  device_not_claimed: "NO_SUCH_ENDPOINT",
  device_offline: "ENDPOINT_UNREACHABLE",
  command_timeout: "ENDPOINT_UNREACHABLE",
  device_error: "HARDWARE_MALFUNCTION",
  unsupported_command: "INVALID_DIRECTIVE",
  command_id_conflict: "INVALID_DIRECTIVE",
  validation_error: "INVALID_VALUE",
  rate_limited: "RATE_LIMIT_EXCEEDED",
  quota_exceeded: "RATE_LIMIT_EXCEEDED",
  unavailable: "BRIDGE_UNREACHABLE",
};

/** In Alexa's words; undefined for a bug, of which Alexa is told that there was one. */
export function alexaErrorOf(error: unknown): AlexaError | undefined {
  if (error instanceof AlexaError) return error;
  if (!(error instanceof HubError)) return undefined;
  return new AlexaError(TYPES[error.code] ?? "INTERNAL_ERROR", error.message, { cause: error });
}
