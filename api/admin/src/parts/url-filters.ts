import { useNavigate, useSearch } from "@tanstack/react-router";

/** Filters stand in the URL as they are: texts. */
export const texts = (search: Record<string, unknown>): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(search).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === "string" ? value : JSON.stringify(value)]],
    ),
  );

export interface UrlFilters {
  readonly filters: Readonly<Record<string, string | undefined>>;
  readonly set: (change: Readonly<Record<string, string | undefined>>) => void;
}

/** In the URL: a page that is sent to somebody shows the same. What is "" is not asked for. */
export function useUrlFilters(): UrlFilters {
  const filters = useSearch({ strict: false }) as Record<string, string | undefined>;
  const navigate = useNavigate();
  return {
    filters,
    set(change) {
      const changed = (before: object): object =>
        Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, value]) => value !== "" && value !== undefined));
      void navigate({ to: ".", search: changed as never, replace: true });
    },
  };
}

/** One of those that there are; what somebody has typed into the URL else is none. */
export const oneOf = <T extends string>(values: readonly T[], value: string | undefined): T | undefined =>
  values.find((one) => one === value);
