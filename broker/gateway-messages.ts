import { HubError } from "../core/errors.ts";
import type { DownType } from "../core/payloads.ts";
import { isTooDeep } from "../core/validate.ts";

/** What a device says in JSON: `up/<type>`, or that it has what it was sent. */
export interface SaidByDevice {
  readonly type: string;
  /** The device's own, for the answer. */
  readonly id: string | number | undefined;
  readonly payload: Readonly<Record<string, unknown>>;
}

const TYPE = /^[a-z][a-z_.]{0,31}$/;
const MAX_ID_CHARS = 64;
const NAMES: Readonly<Partial<Record<DownType, string>>> = { task: "task.exec", registered: "register.ok" };

/** Throws `bad_json` or `validation_error` for what is no message at all; whether there is such a type is for the broker to say. */
export function readMessage(text: string): SaidByDevice {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch (cause) {
    throw new HubError("bad_json", "a message is one JSON object", { cause });
  }
  if (typeof message !== "object" || message === null || Array.isArray(message))
    throw new HubError("validation_error", "a message is one JSON object");
  // What follows walks the value recursively.
  if (isTooDeep(message)) throw new HubError("validation_error", "the message is nested too deeply");
  const { type, id, ...payload } = message as Record<string, unknown>;
  if (typeof type !== "string" || !TYPE.test(type)) throw new HubError("validation_error", "/type has to name what the message is");
  const isId = id === undefined || (typeof id === "string" ? id.length <= MAX_ID_CHARS : Number.isFinite(id));
  if (!isId) throw new HubError("validation_error", "/id has to be a number or a text of at most 64 characters");
  return { type, id: id as string | number | undefined, payload };
}

/** The topic's last level and the payload of what a device said. */
export function topicOf({ type, payload }: SaidByDevice): { readonly type: string; readonly payload: string } {
  // Its signature is over the type too.
  if (type === "task.result") return { type: "task_result", payload: JSON.stringify({ type, ...payload }) };
  // What would be read by everybody who follows the device.
  const { device_token: _secret, ...rest } = payload;
  return { type: type.replaceAll(".", "_"), payload: JSON.stringify(rest) };
}

/** What is published on `down/<type>`, as a device of a gateway reads it. */
export function messageTo(type: DownType, payload: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { ...payload, type: NAMES[type] ?? type };
}
