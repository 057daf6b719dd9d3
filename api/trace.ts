import { randomBytes } from "node:crypto";

/** W3C Trace Context: the trace that a request belongs to, and the hub's own span in it. */
export interface Trace {
  readonly traceId: string;
  readonly spanId: string;
  /** `01` when whoever asks records it. */
  readonly flags: string;
  /** The caller said so. */
  readonly isGiven: boolean;
}

const HEADER = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** Goes on with the caller's trace, or begins one when there is none or it is not well-formed. */
export function traceOf(header: string | undefined): Trace {
  const [, version, traceId = "", parentId = "", flags = "", more] = HEADER.exec(header ?? "") ?? [];
  // A later version may have more behind it, this one may not (section 3.2.2.1).
  const isWrong = version === undefined || version === "ff" || (version === "00" && more !== undefined);
  const spanId = idOf(8);
  if (isWrong || ZEROS.test(traceId) || ZEROS.test(parentId)) return { traceId: idOf(16), spanId, flags: "00", isGiven: false };
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & 1 ? "01" : "00", isGiven: true };
}

/** For the answer, and for what the hub asks of others because of the request. */
export function traceparent({ traceId, spanId, flags }: Trace): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

function idOf(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}
