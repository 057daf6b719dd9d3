/** One place where two values differ. */
export interface Difference {
  /** JSON Pointer. */
  readonly path: string;
  /** Absent where there is nothing. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** From `before` to `after`, member by member; lists by their places. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (isNode(before) && isNode(after) && Array.isArray(before) === Array.isArray(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => {
      const at = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      if (!Object.hasOwn(after, name)) return [{ path: at, before: before[name] }];
      if (!Object.hasOwn(before, name)) return [{ path: at, after: after[name] }];
      return differences(before[name], after[name], at);
    });
  }
  return before === after ? [] : [{ path, before, after }];
}

const isNode = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null;
