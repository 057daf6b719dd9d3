import { Button, Group, Stack, Text } from "@mantine/core";
import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";
import { Waiting } from "./waiting.tsx";

interface PagedProps<T> {
  readonly query: UseInfiniteQueryResult<InfiniteData<{ readonly data: readonly T[] }>>;
  readonly empty: ReactNode;
  readonly children: (rows: readonly T[]) => ReactNode;
}

/** What there is so far, and the rest when it is asked for. */
export function PagedRows<T>({ query, empty, children }: PagedProps<T>) {
  const { t } = useTranslation();
  const rows = query.data?.pages.flatMap(({ data }) => data);
  return (
    <Stack>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {rows?.length === 0 && empty}
      {rows && rows.length > 0 && (
        <>
          {children(rows)}
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
        </>
      )}
    </Stack>
  );
}

/** Of `useInfiniteQuery`, for lists with a cursor. */
export const BY_CURSOR = {
  initialPageParam: "",
  getNextPageParam: ({ next_cursor: cursor }: { readonly next_cursor: string | null }) => cursor,
};
export const cursorOf = (page: string): { cursor?: string } => (page === "" ? {} : { cursor: page });
