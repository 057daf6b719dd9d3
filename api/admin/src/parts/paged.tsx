import { Button, Stack } from "@mantine/core";
import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "./failed.tsx";
import { Waiting } from "./waiting.tsx";

interface PagedProps<T> {
  readonly queryKey: QueryKey;
  /** A page, from its cursor on; the first one without. */
  readonly ask: (cursor: { readonly cursor?: string }) => Promise<{ readonly data: T[]; readonly next_cursor: string | null }>;
  readonly children: (all: readonly T[]) => ReactNode;
}

/** A list that the hub gives page by page. */
export function Paged<T>({ queryKey, ask, children }: PagedProps<T>) {
  const { t } = useTranslation();
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => ask(pageParam === "" ? {} : { cursor: pageParam }),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
  });
  return (
    <Stack>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {query.data && children(query.data.pages.flatMap(({ data }) => data))}
      {query.hasNextPage && (
        <Button
          variant="default"
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
          style={{ alignSelf: "center" }}
        >
          {t("more")}
        </Button>
      )}
    </Stack>
  );
}
