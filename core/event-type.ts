import { HubError } from "./errors.ts";
import { CUSTOM_PREFIX, EVENT_TYPES } from "./event.ts";

/** `custom.` and a name of one or more parts: one level of a topic. */
export const CUSTOM_EVENT_TYPE = "^custom(\\.[a-z0-9][a-z0-9_-]*)+$";
export const MAX_TYPE_LENGTH = 100;

/** Of several types at once. No event is in two of them. */
export interface SelectedTypes {
  readonly exact: readonly string[];
  /** Each ends with a dot. */
  readonly prefixes: readonly string[];
}

const KNOWN = Object.keys(EVENT_TYPES);
const CUSTOM = new RegExp(CUSTOM_EVENT_TYPE);

/**
 * Types, and with `.*` at the end all types that begin so. The hub's own types are listed one by one, those of others are as
 * many as they like. Throws `validation_error` for what no event can have.
 */
export function selectTypes(selectors: readonly string[]): SelectedTypes {
  const exact = new Set<string>();
  const prefixes = new Set<string>();
  for (const selector of selectors) {
    if (!selector.endsWith(".*")) {
      if (!KNOWN.includes(selector) && !isCustomType(selector)) throw unknown(selector);
      exact.add(selector);
      continue;
    }
    const prefix = selector.slice(0, -1);
    const known = KNOWN.filter((type) => type.startsWith(prefix));
    const isCustom = prefix === CUSTOM_PREFIX || isCustomType(prefix.slice(0, -1));
    if (known.length === 0 && !isCustom) throw unknown(selector);
    for (const type of known) exact.add(type);
    if (isCustom) prefixes.add(prefix);
  }
  const isCovered = (text: string): boolean => [...prefixes].some((prefix) => text !== prefix && text.startsWith(prefix));
  return { exact: [...exact].filter((type) => !isCovered(type)), prefixes: [...prefixes].filter((prefix) => !isCovered(prefix)) };
}

const isCustomType = (type: string): boolean => type.length <= MAX_TYPE_LENGTH && CUSTOM.test(type);

function unknown(selector: string): HubError {
  const message = `no event has the type ${selector}`;
  return new HubError("validation_error", message, { details: [{ path: "/type", message }] });
}
