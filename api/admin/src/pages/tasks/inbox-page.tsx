import { Stack } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { BY_CURSOR, cursorOf, PagedRows } from "../../parts/paged-rows.tsx";
import { Approval } from "./approval.tsx";
import { EVERY_MS } from "./task-status.tsx";

const PAGE = 20;

export function InboxPage() {
  const { t } = useTranslation("tasks");
  const query = useInfiniteQuery({
    queryKey: ["tasks", "inbox"],
    queryFn: ({ pageParam }) =>
      take(hub.GET("/api/v1/tasks", { params: { query: { status: "awaiting_confirmation", ...cursorOf(pageParam), limit: PAGE } } })),
    refetchInterval: EVERY_MS,
    ...BY_CURSOR,
  });
  return (
    <Page title={t("inbox")} about={t("inbox_about")}>
      <PagedRows query={query} empty={<Empty title={t("nothing_waits")} action={<LinkButton to="/tasks">{t("all_tasks")}</LinkButton>} />}>
        {(tasks) => (
          <Stack>
            {tasks.map((task) => (
              <Approval key={task.id} task={task} isLinked />
            ))}
          </Stack>
        )}
      </PagedRows>
    </Page>
  );
}
