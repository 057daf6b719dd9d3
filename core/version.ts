import { fingerprintOf } from "./canonical-json.ts";

/** A name for the value: the same for the same JSON, whatever the order of its members. */
export const versionOf = (value: unknown): string => fingerprintOf(value).slice(0, 22);
