import Type, { type TSchema } from "typebox";
import { HubError } from "./errors.ts";
import { type Parser, parserFor } from "./validate.ts";

export const UuidText = Type.String({ pattern: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$" });

/** `validation_error` with the place of the fault in the definition. */
export function fault(path: string, message: string): HubError {
  return new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });
}

/** What happens in `parse`, told with the place where the part stands in the whole. */
export function within<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof HubError) || !Array.isArray(error.details)) throw error;
    const details = (error.details as { path: string; message: string }[]).map((one) => ({
      ...one,
      path: one.path === "/" ? path : `${path}${one.path}`,
    }));
    const [first] = details;
    throw new HubError(error.code, first ? `${first.path} ${first.message}` : error.message, { cause: error, details });
  }
}

/**
 * A parser for one node of a tree whose nodes are told apart by `kind`; what is below a node is unknown to its schema, and is
 * parsed by whoever asked. Throws `validation_error`.
 */
export function nodeParser<T extends { kind: string }>(
  what: string,
  schemas: Readonly<Record<T["kind"], TSchema>>,
): (value: unknown, path: string) => T {
  const parsers = new Map<string, Parser<unknown>>(Object.entries<TSchema>(schemas).map(([kind, schema]) => [kind, parserFor(schema)]));
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw fault(path, `has to be ${what}: an object with a kind`);
    const { kind } = value as { kind?: unknown };
    const parser = typeof kind === "string" ? parsers.get(kind) : undefined;
    if (!parser) throw fault(`${path}/kind`, `has to be one of ${[...parsers.keys()].join(", ")}`);
    return within(path, () => parser(value) as T);
  };
}

/** How much of a tree there may be. */
export class Budget {
  #left: number;
  readonly #maxDepth: number;

  constructor({ nodes, depth }: { readonly nodes: number; readonly depth: number }) {
    this.#left = nodes;
    this.#maxDepth = depth;
  }

  /** Throws `validation_error` when this node is one too many, or too far down. */
  spend(path: string, depth: number): void {
    if (depth > this.#maxDepth) throw fault(path, `is nested more than ${this.#maxDepth} levels deep`);
    if (--this.#left < 0) throw fault(path, "makes the definition too large");
  }
}
