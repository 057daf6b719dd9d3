import { Button, Group, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Choice } from "../../parts/choice.tsx";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { EVERY_MS, FILTERS, TaskStatus } from "./task-status.tsx";

type Task = components["schemas"]["Task"];
const PAGE = 50;

export function TasksPage() {
  const { t } = useTranslation("tasks");
  const { filters, set } = useUrlFilters();
  const status = oneOf(FILTERS, filters["status"]);
  const { device, tag } = filters;
  const asked = { ...(status && { status }), ...(device && { device }), ...(tag && { tag }) };
  const query = usePages({
    queryKey: ["tasks", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/tasks", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
    refetchInterval: EVERY_MS,
  });
  const isFiltered = Object.keys(asked).length > 0;
  return (
    <Page
      title={t("title")}
      about={t("about")}
      actions={
        <>
          <InboxButton />
          <NewButton device={device} />
        </>
      }
    >
      <Group align="flex-end">
        <Choice
          label={t("status")}
          values={FILTERS.map((value) => ({ value, label: t(`statuses.${value}`) }))}
          value={status}
          onChange={(value) => set({ status: value })}
        />
        <DeviceSelect label={t("device")} placeholder={t("shell:all")} value={device} onChange={(wanted) => set({ device: wanted?.uid })} />
        <TypedFilter label={t("tag")} value={tag} onChange={(value) => set({ tag: value })} />
      </Group>
      <Paged
        query={query}
        empty={
          <Empty
            title={t(isFiltered ? "none_matches" : "none")}
            action={
              isFiltered ? (
                <Button variant="default" onClick={() => set({ status: "", device: "", tag: "" })}>
                  {t("all_tasks")}
                </Button>
              ) : (
                <NewButton device={device} />
              )
            }
          >
            {t("none_about")}
          </Empty>
        }
      >
        {(tasks) => <TaskTable tasks={tasks} />}
      </Paged>
    </Page>
  );
}

/** For the device whose tasks are shown. */
function NewButton({ device }: { readonly device: string | undefined }) {
  const { t } = useTranslation("tasks");
  return (
    <LinkButton to="/tasks/new" search={device ? { device } : {}} leftSection={<Plus size={16} aria-hidden />}>
      {t("new")}
    </LinkButton>
  );
}

function InboxButton() {
  const { t } = useTranslation("tasks");
  const { data } = useQuery({
    queryKey: ["tasks", "counts"],
    queryFn: () => take(hub.GET("/api/v1/tasks/metrics")),
    refetchInterval: EVERY_MS,
  });
  const count = data?.data.find(({ status }) => status === "awaiting_confirmation")?.count ?? 0;
  return (
    <LinkButton to="/tasks/inbox" variant={count > 0 ? "filled" : "default"}>
      {count > 0 ? t("inbox_of", { count }) : t("inbox")}
    </LinkButton>
  );
}

function TaskTable({ tasks }: { readonly tasks: readonly Task[] }) {
  const { t } = useTranslation("tasks");
  const nameOf = useDeviceName();
  const formats = useFormats();
  return (
    <WideTable minWidth={640} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("task")}</Table.Th>
            <Table.Th>{t("device")}</Table.Th>
            <Table.Th>{t("status")}</Table.Th>
            <Table.Th>{t("attempts")}</Table.Th>
            <Table.Th>{t("made")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {tasks.map((task) => (
            <Table.Tr key={task.id}>
              <Table.Td>
                <TextLink to="/tasks/$id" params={{ id: task.id }} size="sm">
                  {task.name}
                </TextLink>
              </Table.Td>
              <Table.Td>
                <TextLink to="/devices/$id" params={{ id: task.device_uid }} size="sm">
                  {nameOf(task.device_uid)}
                </TextLink>
              </Table.Td>
              <Table.Td>
                <Stack gap={0} align="flex-start">
                  <TaskStatus status={task.status} />
                  {task.error !== null && <Text size="xs">{task.error}</Text>}
                </Stack>
              </Table.Td>
              <Table.Td>{formats.number(task.attempt)}</Table.Td>
              <Table.Td>{formats.ago(task.created_at)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
