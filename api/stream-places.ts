import type { Principal } from "../core/principal.ts";

/** Of one route and node at a time: each file holds some pages in memory while its reader is slow. */
const MOST = 10;
/** So that whoever reads slowly keeps nobody else out. */
const MOST_OF_ORGANIZATION = 4;
const MOST_OF_ONE = 2;

/** Gives places to readers; undefined when there is none for this one. A place is free again when it is disposed of. */
export function createPlaces(): (reader: Principal | undefined) => Disposable | undefined {
  const taken = new Map<string, number>();
  const countOf = (name: string): number => taken.get(name) ?? 0;
  return (reader) => {
    const wanted = placesFor(reader);
    if (!wanted.every(({ name, most }) => countOf(name) < most)) return undefined;
    for (const { name } of wanted) taken.set(name, countOf(name) + 1);
    return {
      [Symbol.dispose]() {
        for (const { name } of wanted) {
          if (countOf(name) > 1) taken.set(name, countOf(name) - 1);
          else taken.delete(name);
        }
      },
    };
  };
}

function placesFor(reader: Principal | undefined): readonly { readonly name: string; readonly most: number }[] {
  const all = { name: "all", most: MOST };
  if (reader === undefined) return [all];
  const own = { name: `reader ${reader.id}`, most: MOST_OF_ONE };
  if (reader.kind === "device") return [all, own];
  return [all, own, { name: `organization ${reader.organizationId}`, most: MOST_OF_ORGANIZATION }];
}
