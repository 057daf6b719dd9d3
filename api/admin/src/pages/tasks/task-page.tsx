import { Button, Card, Grid, Group, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { useChange } from "../../parts/change.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { Approval } from "./approval.tsx";
import { Attempts, TaskLog } from "./task-history.tsx";
import { EVERY_MS, isOpen, TaskStatus } from "./task-status.tsx";

type Task = components["schemas"]["Task"];
const RETRIED: readonly Task["status"][] = ["failed", "expired"];

export function TaskPage() {
  const { id } = useParams({ from: "/shell/tasks/$id" });
  const query = useQuery({
    queryKey: ["tasks", "one", id],
    queryFn: () => take(hub.GET("/api/v1/tasks/{id}", { params: { path: { id } } })),
    refetchInterval: ({ state }) => (state.data && isOpen(state.data.task.status) ? EVERY_MS / 5 : EVERY_MS),
  });
  return <Asked query={query}>{({ task }) => <Shown task={task} />}</Asked>;
}

function Shown({ task }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  return (
    <Page title={task.name} about={task.description ?? undefined} actions={<Actions task={task} />}>
      {task.status === "awaiting_confirmation" && <Approval task={task} />}
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Card withBorder>
            <Title order={2} size="h4" mb="sm">
              {t("facts")}
            </Title>
            <Facts task={task} />
          </Card>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack>
            <Attempts task={task} />
            <TaskLog task={task} />
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

function Actions({ task: { id, name, status, device_id: device } }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  const { may } = useRights();
  const mayControl = may("device.control", device);
  const confirm = useConfirm();
  const navigate = useNavigate();
  const path = { params: { path: { id } } };
  const cancel = useChange("tasks", () => take(hub.POST("/api/v1/tasks/{id}/cancel", path)));
  const retry = useChange("tasks", () => take(hub.POST("/api/v1/tasks/{id}/retry", path)));
  const submit = useChange("tasks", () => take(hub.POST("/api/v1/tasks/{id}/submit", path)));
  const onRemoved = async (): Promise<void> => {
    await navigate({ to: "/tasks" });
    queries.removeQueries({ queryKey: ["tasks", "one", id] });
    await queries.invalidateQueries({ queryKey: ["tasks"] });
  };
  return (
    <Group gap="xs">
      {mayControl && status === "draft" && (
        <Button loading={submit.isPending} onClick={() => submit.mutate(undefined)}>
          {t("submit")}
        </Button>
      )}
      {mayControl && RETRIED.includes(status) && (
        <Button loading={retry.isPending} onClick={() => retry.mutate(undefined)}>
          {t("retry")}
        </Button>
      )}
      {mayControl && isOpen(status) && (
        <Button
          variant="default"
          loading={cancel.isPending}
          onClick={() =>
            confirm({ title: t("give_up"), about: t("give_up_about", { name }), color: "red", onYes: () => cancel.mutate(undefined) })
          }
        >
          {t("give_up")}
        </Button>
      )}
      {may("device.manage", device) && (!isOpen(status) || status === "draft") && (
        <Removal name={name} remove={() => take(hub.DELETE("/api/v1/tasks/{id}", path))} onRemoved={onRemoved} />
      )}
    </Group>
  );
}

function Facts({ task }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  const nameOf = useDeviceName();
  const formats = useFormats();
  const when = (iso: string | null): string | null => iso && formats.dateTime(iso);
  const facts: readonly (readonly [string, ReactNode])[] = [
    ["status", <TaskStatus key="status" status={task.status} />],
    ["error", task.error],
    ["device", <TextLink key="device" to="/devices/$id" params={{ id: task.device_uid }} size="sm" children={nameOf(task.device_uid)} />],
    ["who", `${task.actor.kind} (${task.source})`],
    [
      "template",
      task.template && (
        <TextLink key="template" to="/templates/$id" params={{ id: task.template.id }} size="sm">
          {t("open_template")}
        </TextLink>
      ),
    ],
    ["priority", formats.number(task.priority)],
    ["actions", <JsonBlock key="actions" value={task.actions} />],
    ["retries", t("retries_of", { attempts: task.retry.attempts, seconds: task.retry.backoff_s })],
    ["decision", task.approval?.decision && t(`decisions.${task.approval.decision}`)],
    ["note", task.approval?.note],
    ["tags", task.tags.length > 0 && formats.list(task.tags)],
    ["made", when(task.created_at)],
    ["next", when(task.not_before)],
    ["finished", when(task.finished_at)],
  ];
  return (
    <Table variant="vertical" layout="fixed">
      <Table.Tbody>
        {facts.map(([name, value]) =>
          value ? (
            <Table.Tr key={name}>
              <Table.Th w="40%">{t(name)}</Table.Th>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{typeof value === "string" ? <Text size="sm">{value}</Text> : value}</Table.Td>
            </Table.Tr>
          ) : null,
        )}
      </Table.Tbody>
    </Table>
  );
}
