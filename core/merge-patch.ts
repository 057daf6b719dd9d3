import Type, { type TObject, type TSchema, type TUnsafe } from "typebox";

/** What may be sent to change a value: any part of it, null to take a member away. */
export type MergePatch<T> = T extends readonly unknown[] ? T : T extends object ? { readonly [K in keyof T]?: MergePatch<T[K]> | null } : T;

/** The patched value; what was given stays as it is. RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged = new Map(Object.entries(isRecord(target) ? target : {}));
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), change));
  }
  return Object.fromEntries(merged);
}

/** The schema of a patch: nothing is required, and what is optional may be null. */
export function mergePatchOf<T>(schema: TObject): TUnsafe<MergePatch<T>> {
  return Type.Unsafe<MergePatch<T>>(patchOf(schema));
}

function patchOf(schema: TSchema): TSchema {
  const { title: _title, required, properties, ...rest } = schema as TSchema & Partial<TObject> & { readonly title?: string };
  if (properties === undefined) return schema;
  const needed = new Set<string>(required ?? []);
  const members = Object.entries(properties).map(([name, member]): [string, TSchema] => {
    const part = patchOf(member);
    return [name, needed.has(name) ? part : { anyOf: [part, { type: "null" }] }];
  });
  return { ...rest, properties: Object.fromEntries(members) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
