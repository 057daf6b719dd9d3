import { Badge, Card, Group, List, Stack, Text, Timeline, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";

type Task = components["schemas"]["Task"];
type Execution = components["schemas"]["TaskExecution"];
const COLORS = { running: "blue", completed: "teal", failed: "red", timeout: "orange" } as const;
const PAGE = 50;

/** Asked for anew when the task is another one: its version says so. */
export function Attempts({ task: { id, version } }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  const query = useQuery({
    queryKey: ["tasks", "attempts", id, version],
    queryFn: () => take(hub.GET("/api/v1/tasks/{id}/executions", { params: { path: { id } } })),
    placeholderData: (before) => before,
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("attempts")}
      </Title>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Text size="sm">{t("no_attempts")}</Text>
          ) : (
            <Stack gap="md">
              {data.map((one) => (
                <Attempt key={`${one.attempt} ${one.started_at}`} execution={one} />
              ))}
            </Stack>
          )
        }
      </Asked>
    </Card>
  );
}

function Attempt({ execution }: { readonly execution: Execution }) {
  const { t } = useTranslation("tasks");
  const formats = useFormats();
  const { attempt, status, error, results, started_at: started, duration_ms: took } = execution;
  return (
    <div>
      <Group gap="xs">
        <Text size="sm" fw={600}>
          {t("attempt", { number: attempt })}
        </Text>
        <Badge variant="dot" color={COLORS[status]}>
          {t(`results.${status}`)}
        </Badge>
      </Group>
      <Text size="sm">
        {formats.dateTime(started)}
        {took !== null && `, ${t("took", { ms: formats.number(took, 0) })}`}
      </Text>
      {error !== null && <Text size="sm">{error}</Text>}
      <List size="sm">
        {results.map(({ action_id: action, status: result, error: why }) => (
          <List.Item key={action}>
            {action}: {t(`results.${result}`)}
            {why !== undefined && ` (${why})`}
          </List.Item>
        ))}
      </List>
    </div>
  );
}

/** An action that the console has no word for is shown as the hub calls it. */
export function TaskLog({ task: { id, version } }: { readonly task: Task }) {
  const { t } = useTranslation("tasks");
  const formats = useFormats();
  const query = usePages({
    queryKey: ["tasks", "log", id, version],
    ask: (cursor) => take(hub.GET("/api/v1/tasks/{id}/logs", { params: { path: { id }, query: { ...cursor, limit: PAGE } } })),
    keepsPrevious: true,
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("log")}
      </Title>
      <Paged query={query} empty={<Text size="sm">{t("no_log")}</Text>}>
        {(entries) => (
          <Timeline active={entries.length} bulletSize={14} lineWidth={2}>
            {entries.map(({ id: key, action, result, details, actor, created_at: at }) => (
              <Timeline.Item key={key} title={t(`statuses.${action.replace("task.", "")}`, { defaultValue: action })}>
                <Text size="sm">
                  {formats.dateTime(at)} · {actor.kind} · {result}
                </Text>
                {Object.keys(details).length > 0 && (
                  <details>
                    <summary>{t("details")}</summary>
                    <JsonBlock value={details} />
                  </details>
                )}
              </Timeline.Item>
            ))}
          </Timeline>
        )}
      </Paged>
    </Card>
  );
}
