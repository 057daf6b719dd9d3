import { Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Approval } from "./approval.tsx";
import { EVERY_MS } from "./task-status.tsx";

const PAGE = 20;

export function InboxPage() {
  const { t } = useTranslation("tasks");
  const query = usePages({
    queryKey: ["tasks", "inbox"],
    ask: (cursor) => take(hub.GET("/api/v1/tasks", { params: { query: { status: "awaiting_confirmation", ...cursor, limit: PAGE } } })),
    refetchInterval: EVERY_MS,
  });
  return (
    <Page title={t("inbox")} about={t("inbox_about")}>
      <Paged query={query} empty={<Empty title={t("nothing_waits")} action={<LinkButton to="/tasks">{t("all_tasks")}</LinkButton>} />}>
        {(tasks) => (
          <Stack>
            {tasks.map((task) => (
              <Approval key={task.id} task={task} isLinked />
            ))}
          </Stack>
        )}
      </Paged>
    </Page>
  );
}
