import { Badge, Button, Card, Group, Stack, Table, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Choice } from "../../parts/choice.tsx";
import { useErrorWords } from "../../parts/failed.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Webhook = components["schemas"]["Webhook"];
type Delivery = components["schemas"]["WebhookDelivery"];
const STATUSES = ["pending", "delivered", "dead", "dropped"] as const;
const COLORS = { pending: "blue", delivered: "teal", dead: "red", dropped: "gray" } as const;
const PAGE = 50;
const EVERY_MS = 3_000;
/** As long as the hub keeps them. */
const KEPT_MS = 7 * 86_400_000;

/** What was sent, what waits, and sending it once more. */
export function Deliveries({ webhook: { id, is_active: isActive } }: { readonly webhook: Webhook }) {
  const { t } = useTranslation("webhooks");
  const { status: wanted } = useSearch({ from: "/shell/webhooks/$id" });
  const navigate = useNavigate({ from: "/webhooks/$id" });
  const status = STATUSES.find((one) => one === wanted);
  const query = usePages({
    queryKey: ["webhooks", "one", id, "deliveries", status],
    ask: (cursor) =>
      take(
        hub.GET("/api/v1/webhooks/{id}/deliveries", {
          params: {
            path: { id },
            query: { limit: PAGE, ...(status ? { status } : {}), ...cursor },
          },
        }),
      ),
    refetchInterval: EVERY_MS,
  });
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("deliveries")}
        </Title>
        <Group align="flex-end">
          <Choice
            label={t("state")}
            values={STATUSES.map((value) => ({ value, label: t(`status.${value}`) }))}
            value={status}
            onChange={(value) => void navigate({ search: (before) => ({ ...before, status: value || undefined }), replace: true })}
          />
          <ReplayAll id={id} isActive={isActive} />
        </Group>
        <Paged query={query} empty={<Text size="sm">{t("no_deliveries")}</Text>}>
          {(deliveries) => <DeliveryTable deliveries={deliveries} id={id} isActive={isActive} />}
        </Paged>
      </Stack>
    </Card>
  );
}

function useReplay<T>(replay: (what: T) => Promise<{ readonly replayed: number }>) {
  const { t } = useTranslation("webhooks");
  const words = useErrorWords();
  return useMutation({
    mutationFn: replay,
    onSuccess: ({ replayed }) => void notifications.show({ message: t("replayed", { count: replayed }) }),
    onError: (error) => void notifications.show({ color: "red", title: t("shell:failed.title"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["webhooks", "one"] }),
  });
}

function ReplayAll({ id, isActive }: { readonly id: string; readonly isActive: boolean }) {
  const { t } = useTranslation("webhooks");
  const replay = useReplay(() =>
    take(
      hub.POST("/api/v1/webhooks/{id}/replay", {
        params: { path: { id } },
        body: { since: new Date(Date.now() - KEPT_MS).toISOString() },
      }),
    ),
  );
  return (
    <Button variant="default" loading={replay.isPending} disabled={!isActive} onClick={() => replay.mutate(undefined)}>
      {t("replay_all")}
    </Button>
  );
}

interface TableProps {
  readonly id: string;
  readonly isActive: boolean;
  readonly deliveries: readonly Delivery[];
}

function DeliveryTable({ id, isActive, deliveries }: TableProps) {
  const { t } = useTranslation("webhooks");
  const formats = useFormats();
  const replay = useReplay((deliveryId: string) =>
    take(hub.POST("/api/v1/webhooks/{id}/deliveries/{delivery_id}/replay", { params: { path: { id, delivery_id: deliveryId } } })),
  );
  return (
    <WideTable minWidth={820} label={t("deliveries")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {["when", "event", "state", "attempts", "answer", "doings"].map((name) => (
              <Table.Th key={name}>{t(name)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {deliveries.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>{formats.dateTime(one.created_at)}</Table.Td>
              <Table.Td>{one.event_type}</Table.Td>
              <Table.Td>
                <Badge variant="dot" color={COLORS[one.status]}>
                  {t(`status.${one.status}`)}
                </Badge>
              </Table.Td>
              <Table.Td>{formats.number(one.attempts)}</Table.Td>
              <Table.Td style={{ overflowWrap: "anywhere" }}>
                <Answer delivery={one} />
              </Table.Td>
              <Table.Td>
                <Button
                  size="compact-sm"
                  variant="default"
                  disabled={!isActive || one.status === "pending"}
                  loading={replay.isPending && replay.variables === one.id}
                  onClick={() => replay.mutate(one.id)}
                >
                  {t("replay")}
                </Button>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Answer({ delivery: { response_status: status, error, latency_ms: ms, next_attempt_at: next } }: { readonly delivery: Delivery }) {
  const { t } = useTranslation("webhooks");
  const formats = useFormats();
  const parts = [
    status === null ? null : String(status),
    error,
    ms === null ? null : t("took", { ms: formats.number(ms, 0) }),
    next === null ? null : t("next", { when: formats.ago(next) }),
  ];
  return parts.filter((part) => part !== null).join(" · ");
}
