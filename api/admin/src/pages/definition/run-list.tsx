import { Group, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Choice } from "../../parts/choice.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
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
  const query = usePages({
    queryKey: [...name, status],
    ask: (cursor) => ask({ limit: PAGE, ...(status ? { status } : {}), ...cursor }),
    refetchInterval: (shown) =>
      shown?.pages.some(({ data }) => data.some((run) => UNFINISHED.includes(run.status))) ? UNFINISHED_MS : EVERY_MS,
  });
  return (
    <Stack>
      <Group>
        <Choice
          label={t("runs.status")}
          values={STATUSES.map((value) => ({ value, label: t(`status.${value}`) }))}
          value={status}
          onChange={(value) => onStatus(value || undefined)}
        />
      </Group>
      <Paged query={query} empty={<Empty title={t("runs.none")}>{t("runs.none_about")}</Empty>}>
        {(runs) => <RunTable runs={runs} />}
      </Paged>
    </Stack>
  );
}
