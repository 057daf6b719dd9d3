/** One table for every error the hub can answer with: the code is the contract, the status and title follow from it. */
export const ERRORS = {
  validation_error: { status: 400, title: "The request does not match its schema" },
  bad_json: { status: 400, title: "The body is not valid JSON" },
  unauthorized: { status: 401, title: "Credentials are missing, wrong, expired or revoked" },
  forbidden: { status: 403, title: "The credentials do not allow this" },
  not_found: { status: 404, title: "There is no such thing, or it is not yours to see" },
  method_not_allowed: { status: 405, title: "The path exists, the method does not" },
  conflict: { status: 409, title: "The present state does not allow this" },
  device_offline: { status: 409, title: "The device is not connected" },
  device_not_claimed: { status: 409, title: "The device belongs to no organisation yet" },
  already_claimed: { status: 409, title: "The device belongs to an organisation already" },
  already_set_up: { status: 409, title: "The hub has its first administrator already" },
  command_id_conflict: { status: 409, title: "The command id was used for another command" },
  approval_refused: { status: 409, title: "Nobody has approved it" },
  idempotency_conflict: { status: 409, title: "The idempotency key was used for another request" },
  idempotency_in_progress: { status: 409, title: "The first request with this idempotency key still runs" },
  precondition_failed: { status: 412, title: "The resource changed in the meantime" },
  payload_too_large: { status: 413, title: "The body or packet is larger than allowed" },
  unsupported_media_type: { status: 415, title: "The body is not JSON" },
  unsupported_command: { status: 422, title: "The device lacks the capability for this command" },
  precondition_required: { status: 428, title: "A change has to say which version it is made from" },
  https_required: { status: 426, title: "Only HTTPS is accepted" },
  quota_exceeded: { status: 429, title: "A limit of this account is used up" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal_error: { status: 500, title: "The hub failed; the request id finds it in the log" },
  device_error: { status: 502, title: "The device answered with an error" },
  unavailable: { status: 503, title: "A part of the hub is not available" },
  storage_full: { status: 507, title: "The hub cannot write to its storage" },
  command_timeout: { status: 504, title: "The device did not answer in time" },
  topic_forbidden: { status: 403, title: "The topic is not open to this client" },
  topic_unknown: { status: 404, title: "The topic is not part of the contract" },
  retain_refused: { status: 400, title: "Retained messages are not accepted on this topic" },
  pin_required: { status: 403, title: "An approval takes the approver's PIN here" },
  pin_wrong: { status: 403, title: "The PIN is wrong, or there is none" },
  pin_locked: { status: 429, title: "Too many wrong PINs: none is looked at for a while" },
  clock_out_of_range: { status: 400, title: "The timestamp is too far from the hub's clock" },
  task_signature_invalid: { status: 401, title: "A task or its result is not signed with the device's task key" },
  task_envelope_stale: { status: 400, title: "A task or its result is too old, or of a clock that is wrong" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error that is part of the contract. Anything else that is thrown is a bug and answers as `internal_error`. */
export class HubError extends Error {
  override readonly name = "HubError";
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? null;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** A reason not to start: what is wrong, where, and how to mend it. Ends the process with code 3 and no stack. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly where: string;
  readonly mend: string;

  constructor(what: string, where: string, mend: string, options: { cause?: unknown } = {}) {
    super(what, options.cause === undefined ? undefined : { cause: options.cause });
    this.where = where;
    this.mend = mend;
  }
}
