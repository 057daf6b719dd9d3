import { lookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";
import { isIP } from "node:net";
import type { Readable } from "node:stream";
import { type Destinations, ForbiddenDestination, hostOf, NOT_PUBLIC } from "../../core/destination.ts";
import { Lookups } from "./lookups.ts";

/** Every URL that the hub asks on somebody's behalf is asked by this, and by nothing else. */
export interface Outbound {
  /**
   * Whatever the receiver answers, also a redirect, which is not followed. Throws {@link OutboundError}, and
   * {@link ForbiddenDestination} before anything was sent.
   */
  request(url: string, request: OutboundRequest): Promise<OutboundAnswer>;
}

export interface OutboundRequest {
  readonly method: "GET" | "POST" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
  /** On whose behalf: the look-ups of one do not keep others waiting. */
  readonly organizationId?: string;
}

export interface OutboundAnswer {
  readonly status: number;
  /** In small letters; of several of a name the first. */
  readonly headers: Readonly<Record<string, string>>;
  /** At most 64 KiB of it. */
  readonly body: Buffer;
  readonly isTruncated: boolean;
}

/** `timeout`: it took too long; `unreachable`: no connection, no TLS, or it broke; `stopped`: the caller's signal. */
export class OutboundError extends Error {
  override readonly name = "OutboundError";
  readonly reason: "timeout" | "unreachable" | "stopped";

  constructor(reason: OutboundError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface OutboundLimits {
  readonly connectMs: number;
  /** From the request until the headers of its answer. */
  readonly headersMs: number;
  /** From the look-up of the name until the end of the answer. */
  readonly wholeMs: number;
  readonly maxBytes: number;
}

export interface OutboundContext {
  readonly destinations: Destinations;
  /** All addresses of a name; the system's resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  readonly limits?: Partial<OutboundLimits>;
}

export const OUTBOUND_LIMITS: OutboundLimits = { connectMs: 5_000, headersMs: 10_000, wholeMs: 15_000, maxBytes: 65_536 };
const MAX_HEADER_BYTES = 16_384;

const resolveBySystem = async (host: string): Promise<readonly string[]> =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

export function createOutbound({ destinations, resolve = resolveBySystem, limits: own }: OutboundContext): Outbound {
  const limits = { ...OUTBOUND_LIMITS, ...own };
  const lookups = new Lookups((host) => resolve(host).catch(nowhere));

  /** What the connection is made to: never asked for a second time, so that nobody can change it after it was looked at. */
  async function addressesOf(url: URL, who: string, signal: AbortSignal): Promise<readonly string[]> {
    const host = hostOf(url);
    const addresses = isIP(host) === 0 ? await lookups.addressesOf(host, who, signal) : [host];
    destinations.check(url, addresses);
    return addresses;
  }

  return {
    async request(text, { method, headers = {}, body, signal: stop, organizationId = "" }) {
      const url = destinations.parse(text);
      const late = AbortSignal.timeout(limits.wholeMs);
      const signal = stop === undefined ? late : AbortSignal.any([late, stop]);
      try {
        signal.throwIfAborted();
        const addresses = await addressesOf(url, organizationId, signal);
        return await ask({ url, addresses, limits, method, headers, body, signal });
      } catch (error) {
        throw translated(error, { late, stop });
      }
    },
  };
}

interface Asking {
  readonly url: URL;
  readonly addresses: readonly string[];
  readonly limits: OutboundLimits;
  readonly method: OutboundRequest["method"];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
  readonly signal: AbortSignal;
}

/** A connection of its own, which ends with the answer: nobody who is slow keeps one. */
async function ask({ url, addresses, limits, method, headers, body, signal }: Asking): Promise<OutboundAnswer> {
  const { Client } = await import("undici");
  const client = new Client(url.origin, {
    connect: { lookup: fixed(addresses), timeout: limits.connectMs, autoSelectFamily: true },
    connectTimeout: limits.connectMs,
    headersTimeout: limits.headersMs,
    bodyTimeout: limits.wholeMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    pipelining: 0,
    allowH2: false,
  });
  try {
    const answer = await client.request({
      method,
      path: `${url.pathname}${url.search}`,
      headers: { "user-agent": "hexahub", ...headers },
      body: body ?? null,
      signal,
    });
    const read = await readUpTo(answer.body, limits.maxBytes);
    return { status: answer.statusCode, headers: headersOf(answer.headers), ...read };
  } finally {
    await client.destroy();
  }
}

async function readUpTo(body: Readable, maxBytes: number): Promise<Pick<OutboundAnswer, "body" | "isTruncated">> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size > maxBytes) break;
  }
  return { body: Buffer.concat(parts).subarray(0, maxBytes), isTruncated: size > maxBytes };
}

/** Stands where the connection would ask the resolver: Host and SNI stay the name. */
function fixed(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, { all: wantsAll }, callback) => {
    const [first] = all;
    if (wantsAll || first === undefined) callback(null, all);
    else callback(null, first.address, first.family);
  };
}

function headersOf(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const first = (value: string | string[] | undefined): string => (Array.isArray(value) ? (value[0] ?? "") : (value ?? ""));
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), first(value)]));
}

const nowhere = (cause: unknown): never => {
  throw new ForbiddenDestination(NOT_PUBLIC, { cause });
};

const TIMEOUTS = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);

function translated(error: unknown, { late, stop }: { readonly late: AbortSignal; readonly stop: AbortSignal | undefined }): Error {
  if (error instanceof ForbiddenDestination) return error;
  if (stop?.aborted) return new OutboundError("stopped", "it was stopped", { cause: error });
  const code = codeOf(error);
  if (late.aborted || TIMEOUTS.has(code)) return new OutboundError("timeout", "there was no whole answer in time", { cause: error });
  return new OutboundError("unreachable", `there was no answer (${code})`, { cause: error });
}

/** Of several addresses that were tried, the first one's. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
}
