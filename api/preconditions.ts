import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { HubError } from "../core/errors.ts";
import type { Route } from "./route.ts";

/**
 * The tag of a representation: what people change of it, before the dot, is what If-Match compares; after it comes what
 * If-None-Match compares too, so that a reading that comes in does not stand in the way of a change.
 */
export function entityTag(version: string | undefined, text?: string): string {
  const whole = text === undefined ? undefined : createHash("sha256").update(text).digest("base64url").slice(0, 22);
  return `"${[version, whole].filter((part) => part !== undefined).join(".")}"`;
}

/** Whether the caller has this representation already (weak comparison, RFC 9110 13.1.2). */
export function isKnown(headers: IncomingHttpHeaders, tag: string): boolean {
  const wanted = tagsOf(headers["if-none-match"], "if-none-match");
  return wanted !== undefined && (wanted === "*" || wanted.some((one) => one.replace(/^W\//, "") === tag));
}

/** Whether what is there already changes only for who has read it. */
export const requiresMatch = ({ match }: Pick<Route, "match">): boolean => match === "required" || match === "required_if_there";

export interface Precondition {
  /** Whether somebody has asked {@link check}. */
  readonly isChecked: boolean;
  /** Whether the request has a condition. */
  readonly isGiven: boolean;
  /**
   * `version` of what is there now, undefined for nothing. Throws `precondition_failed`; and `precondition_required` where
   * a change has to say what it is made from.
   */
  check(version: string | undefined): void;
}

/** Throws `validation_error` for headers that are no entity tags. */
export function preconditionOf(headers: IncomingHttpHeaders, isRequired: boolean): Precondition {
  const match = tagsOf(headers["if-match"], "if-match");
  const noneMatch = tagsOf(headers["if-none-match"], "if-none-match");
  let isChecked = false;
  return {
    get isChecked() {
      return isChecked;
    },
    isGiven: match !== undefined || noneMatch !== undefined,
    check(version) {
      isChecked = true;
      if (match !== undefined && !matches(match, version)) throw failed(version, "it is not, or not any more, what If-Match says");
      if (noneMatch !== undefined && matches(noneMatch, version)) throw failed(version, "it is there already");
      if (isRequired && match === undefined && noneMatch === undefined && version !== undefined)
        throw new HubError("precondition_required", "send If-Match with the ETag of what you have read", {
          details: { etag: entityTag(version) },
        });
    },
  };
}

function matches(tags: Tags, version: string | undefined): boolean {
  if (version === undefined) return false;
  return tags === "*" || tags.some((tag) => /^"([^".]*)/.exec(tag)?.[1] === version);
}

function failed(version: string | undefined, message: string): HubError {
  return new HubError("precondition_failed", message, { details: { etag: version === undefined ? null : entityTag(version) } });
}

type Tags = "*" | readonly string[];

const TAG = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;
const MAX_TAGS = 32;

function tagsOf(header: string | undefined, name: string): Tags | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "*";
  const tags = header
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (tags.length === 0 || tags.length > MAX_TAGS || !tags.every((tag) => TAG.test(tag)))
    throw new HubError("validation_error", `${name} takes * or up to ${MAX_TAGS} entity tags in double quotes`);
  return tags;
}
