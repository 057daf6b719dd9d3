import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import getRawBody from "raw-body";
import { HubError } from "../core/errors.ts";
import { isTooDeep } from "../core/validate.ts";

const MAX_BODY_BYTES = 1_048_576;
/** RFC 7396, which is what a PATCH means, whichever of the two it is called. */
export const MERGE_PATCH = "application/merge-patch+json";

interface Body {
  readonly bytes: Buffer;
  /** undefined for an empty body. */
  readonly json: unknown;
}

/** As it came, for a route that reads it by itself. */
export interface IncomingBody {
  readonly bytes: Buffer;
  readonly headers: IncomingHttpHeaders;
}

/** Throws `payload_too_large`, and `bad_json` for a body that ends early. */
export async function readIncoming(request: IncomingMessage, maxBytes: number): Promise<IncomingBody> {
  return { bytes: await readBytes(request, maxBytes), headers: request.headers };
}

/** Reads a JSON body. Throws `payload_too_large`, `unsupported_media_type` or `bad_json`. */
export async function readBody(request: IncomingMessage): Promise<Body> {
  const bytes = await readBytes(request, MAX_BODY_BYTES);
  if (bytes.length === 0) return { bytes, json: undefined };
  checkMediaType(request);
  return { bytes, json: parse(bytes) };
}

async function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  const length = request.headers["content-length"];
  if (length !== undefined && Number(length) > limit) throw tooLarge(limit);
  return await getRawBody(request, { length: length ?? null, limit }).catch((cause: unknown) => {
    const type = cause instanceof Error && "type" in cause ? cause.type : undefined;
    if (type === "entity.too.large") {
      // What is still under way is thrown away: a connection cut in the middle would take the answer with it.
      request.resume();
      throw tooLarge(limit);
    }
    throw new HubError("bad_json", "the body ended early", { cause });
  });
}

function checkMediaType(request: IncomingMessage): void {
  const type = request.headers["content-type"] ?? "";
  const [essence = "", ...parameters] = type.split(";").map((part) => part.trim().toLowerCase());
  const isJson = essence === "application/json" || (essence === MERGE_PATCH && request.method === "PATCH");
  const charset = parameters
    .find((parameter) => parameter.startsWith("charset="))
    ?.slice(8)
    .replaceAll('"', "");
  if (!isJson || (charset !== undefined && charset !== "utf-8" && charset !== "utf8"))
    throw new HubError("unsupported_media_type", "send the body as application/json in UTF-8", { details: { content_type: type || null } });
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity")
    throw new HubError("unsupported_media_type", "compressed bodies are not accepted", { details: { content_encoding: encoding } });
}

function parse(bytes: Buffer): unknown {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw new HubError("bad_json", "the body is not valid JSON", { cause });
  }
  // What follows walks the value recursively.
  if (isTooDeep(json)) throw new HubError("validation_error", "the body is nested too deeply");
  // PostgreSQL stores neither NUL nor half a surrogate pair; stringify escapes exactly these two kinds so.
  if (/\\u(?:0000|d[89a-f])/i.test(text) && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(JSON.stringify(json)))
    throw new HubError("validation_error", "NUL characters and unpaired surrogates are not accepted");
  return json;
}

export const tooLarge = (limit: number): HubError =>
  new HubError("payload_too_large", "the body is larger than allowed", { details: { max_bytes: limit } });
