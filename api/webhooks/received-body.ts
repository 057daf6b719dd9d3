import { HubError } from "../../core/errors.ts";
import { isTooDeep } from "../../core/validate.ts";
import type { IncomingBody } from "../body.ts";

/** What a stranger has sent, as the rules of an organisation can read it. */
export interface ReceivedBody {
  readonly contentType: string | null;
  /** JSON as it is, a form as an object of its fields, text as text; null for none. */
  readonly body: unknown;
}

const MAX_TYPE_CHARS = 200;
const MAX_FORM_FIELDS = 1_000;

/** Throws `unsupported_media_type`, `bad_json` and `validation_error`. */
export function receivedBody({ bytes, headers }: IncomingBody): ReceivedBody {
  const type = (headers["content-type"] ?? "").slice(0, MAX_TYPE_CHARS);
  const essence = (type.split(";")[0] ?? "").trim().toLowerCase();
  if ((headers["content-encoding"] ?? "identity") !== "identity")
    throw new HubError("unsupported_media_type", "compressed bodies are not accepted");
  const contentType = essence === "" ? null : essence;
  if (bytes.length === 0) return { contentType, body: null };
  if (essence === "application/json" || essence.endsWith("+json")) return { contentType, body: jsonOf(bytes) };
  if (essence === "application/x-www-form-urlencoded") return { contentType, body: formOf(textOf(bytes)) };
  if (essence.startsWith("text/")) return { contentType, body: textOf(bytes) };
  throw new HubError("unsupported_media_type", "send JSON, a form or text", { details: { content_type: type || null } });
}

function jsonOf(bytes: Buffer): unknown {
  const text = textOf(bytes);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new HubError("bad_json", "the body is not valid JSON", { cause });
  }
  if (isTooDeep(json)) throw new HubError("validation_error", "the body is nested too deeply");
  return json;
}

/** What is no UTF-8 becomes a sign that says so. */
const textOf = (bytes: Buffer): string => new TextDecoder("utf-8").decode(bytes);

/** Of a field that comes more than once, all values. */
function formOf(text: string): Record<string, string | string[]> {
  const form = new URLSearchParams(text);
  if (form.size > MAX_FORM_FIELDS)
    throw new HubError("validation_error", `the form has ${form.size} fields, ${MAX_FORM_FIELDS} are allowed`);
  const fields = new Map<string, [string, ...string[]]>();
  for (const [name, value] of form) {
    const values = fields.get(name);
    if (values) values.push(value);
    else fields.set(name, [value]);
  }
  return Object.fromEntries(Array.from(fields, ([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
