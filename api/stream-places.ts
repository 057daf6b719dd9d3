import type { Principal } from "../core/principal.ts";

/** How many at a time: of everybody, of an organisation and of one of its people, so that nobody keeps all others out. */
export interface Places {
  readonly ofAll: number;
  readonly ofOrganization: number;
  readonly ofOne: number;
}

/** Of one route and node: each file holds some pages in memory while its reader is slow. */
const FILES: Places = { ofAll: 10, ofOrganization: 4, ofOne: 2 };

/** Gives places to readers; undefined when there is none for this one. A place is free again when it is disposed of. */
export function createPlaces(places: Places = FILES): (reader: Principal | undefined) => Disposable | undefined {
  const taken = new Map<string, number>();
  const countOf = (name: string): number => taken.get(name) ?? 0;
  return (reader) => {
    const wanted = placesFor(reader, places);
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

function placesFor(
  reader: Principal | undefined,
  { ofAll, ofOrganization, ofOne }: Places,
): readonly { readonly name: string; readonly most: number }[] {
  const all = { name: "all", most: ofAll };
  if (reader === undefined) return [all];
  const own = { name: `reader ${reader.id}`, most: ofOne };
  if (reader.kind === "device") return [all, own];
  return [all, own, { name: `organization ${reader.organizationId}`, most: ofOrganization }];
}
