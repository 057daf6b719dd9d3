import Type, { type Static, type TObject } from "typebox";
import { MAX_PROPERTIES_BYTES } from "../../core/entity.ts";
import { HubError } from "../../core/errors.ts";
import { type MergePatch, mergePatch, mergePatchOf } from "../../core/merge-patch.ts";
import { parserFor } from "../../core/validate.ts";
import { line } from "../fields.ts";

export const Name = line(120);
export const Description = line(1_000);
export const Search = Type.Optional(Type.String({ minLength: 1, maxLength: 120, description: "Part of the name" }));
export const Properties = Type.Record(Type.String({ pattern: "^[A-Za-z0-9_]{1,64}$" }), Type.Unknown(), { additionalProperties: false });

/**
 * The body that makes a thing, and the merge patch that changes it; `apply` gives what the thing is afterwards. It throws
 * `validation_error` when something would be missing.
 */
export function changeable<S extends TObject>(Fields: S, title: string) {
  const parse = parserFor(Fields);
  const Patch = Type.Unsafe<MergePatch<Static<S>>>({ ...mergePatchOf<Static<S>>(Fields), minProperties: 1, title: `${title}Patch` });
  return {
    Patch,
    apply(now: Readonly<Record<string, unknown>>, patch: unknown): Static<S> {
      const known = Object.entries(now).filter(([name, value]) => name in Fields.properties && value !== null);
      return parse(mergePatch(Object.fromEntries(known), patch));
    },
  };
}

/** Throws `validation_error`. */
export function checkSize(properties: unknown): void {
  if (Buffer.byteLength(JSON.stringify(properties)) > MAX_PROPERTIES_BYTES)
    throw new HubError("validation_error", `properties are at most ${MAX_PROPERTIES_BYTES} bytes of JSON`, {
      details: [{ path: "/properties", message: "are too large" }],
    });
}
