import { Group, Select, Stack } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { type Run, RunTable } from "./runs.tsx";

const STATUSES = ["running", "waiting", "queued", "ok", "failed", "cancelled"] as const;
const PAGE = 20;
const UNFINISHED: readonly Run["status"][] = ["running", "waiting", "queued"];
/** Events tell that a run begins, and that it fails; not how it goes on. */
const UNFINISHED_MS = 3_000;
const EVERY_MS = 30_000;

export interface RunsAsked {
  readonly limit: number;
  readonly cursor?: string;
  readonly status?: (typeof STATUSES)[number];
}

interface RunListProps {
  /** Of the query. */
  readonly name: readonly string[];
  readonly ask: (query: RunsAsked) => Promise<{ data: Run[]; next_cursor: string | null }>;
  readonly status: string | undefined;
  readonly onStatus: (status: string | undefined) => void;
}

/** What an automation or a schedule did, newest first; new runs come by themselves. */
export function RunList({ name, ask, status: wanted, onStatus }: RunListProps) {
  const { t } = useTranslation("definition");
  const status = STATUSES.find((one) => one === wanted);
  const query = useInfiniteQuery({
    queryKey: [...name, status],
    queryFn: ({ pageParam }) => ask({ limit: PAGE, ...(status ? { status } : {}), ...(pageParam === "" ? {} : { cursor: pageParam }) }),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ data }) => data.some((run) => UNFINISHED.includes(run.status))) ? UNFINISHED_MS : EVERY_MS,
  });
  const runs = query.data?.pages.flatMap(({ data }) => data);
  return (
    <Stack>
      <Group>
        <Select
          label={t("runs.status")}
          placeholder={t("any")}
          clearable
          clearButtonProps={{ "aria-label": t("any") }}
          data={STATUSES.map((value) => ({ value, label: t(`status.${value}`) }))}
          value={status ?? null}
          onChange={(value) => onStatus(value ?? undefined)}
        />
      </Group>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {runs?.length === 0 && <Empty title={t("runs.none")}>{t("runs.none_about")}</Empty>}
      {runs && runs.length > 0 && (
        <RunTable
          runs={runs}
          hasMore={query.hasNextPage}
          isFetchingMore={query.isFetchingNextPage}
          onMore={() => void query.fetchNextPage()}
        />
      )}
    </Stack>
  );
}
