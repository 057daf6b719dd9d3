import { Button, Group, Stack, Text } from "@mantine/core";
import { type InfiniteData, type QueryKey, type UseInfiniteQueryResult, keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";
import { Waiting } from "./waiting.tsx";

interface Rows<T> {
  readonly data: T[];
  readonly next_cursor: string | null;
}
type Pages<T> = InfiniteData<Rows<T>>;

interface PagesAsked<T> {
  readonly queryKey: QueryKey;
  /** A page, from its cursor on; the first one without. */
  readonly ask: (cursor: { readonly cursor?: string }, signal: AbortSignal) => Promise<Rows<T>>;
  /** What was shown of another key stays until this one is there. */
  readonly keepsPrevious?: boolean;
  readonly refetchInterval?: number | ((shown: Pages<T> | undefined) => number | false);
}

/** A list that the hub gives page by page. */
export function usePages<T>({ queryKey, ask, keepsPrevious = false, refetchInterval = () => false }: PagesAsked<T>) {
  return useInfiniteQuery({
    ...(keepsPrevious && { placeholderData: keepPreviousData }),
    queryKey,
    queryFn: ({ pageParam, signal }) => ask(pageParam === "" ? {} : { cursor: pageParam }, signal),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }: Rows<T>) => cursor,
    refetchInterval: ({ state }) => (typeof refetchInterval === "number" ? refetchInterval : refetchInterval(state.data)),
  });
}

interface PagedProps<T> {
  readonly query: UseInfiniteQueryResult<Pages<T>>;
  readonly empty: ReactNode;
  /** Of a list within a list nobody asks how much of it is shown. */
  readonly isInner?: boolean;
  readonly children: (rows: readonly T[]) => ReactNode;
}

/** What there is so far, and the rest when it is asked for. */
export function Paged<T>({ query, empty, isInner = false, children }: PagedProps<T>) {
  const { t } = useTranslation();
  const rows = query.data?.pages.flatMap(({ data }) => data) ?? [];
  return (
    <Stack>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {query.data && rows.length === 0 && empty}
      {rows.length > 0 && children(rows)}
      {rows.length > 0 && (query.hasNextPage || !isInner) && (
        <Group justify="space-between">
          <Text size="sm" c="dimmed" role="status">
            {t("shown", { count: rows.length })}
          </Text>
          {query.hasNextPage && (
            <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
              {t("more")}
            </Button>
          )}
        </Group>
      )}
    </Stack>
  );
}
