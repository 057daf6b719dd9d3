import { createHash } from "node:crypto";

/** The same text for the same JSON, whatever the order of its members. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if ("toJSON" in value && typeof value.toJSON === "function") return canonicalJson((value.toJSON as () => unknown)());
  let members = "";
  for (const name of Object.keys(value).toSorted()) {
    const member = (value as Record<string, unknown>)[name];
    if (member !== undefined) members += `${members === "" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}

/** SHA-256 of the canonical JSON, in base64url. */
export const fingerprintOf = (value: unknown): string => createHash("sha256").update(canonicalJson(value)).digest("base64url");
