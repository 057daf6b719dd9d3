import { Badge, Button, Card, Code, Group, Stack, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type UseQueryResult, useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { useConfirm } from "../../parts/confirm.tsx";
import { useErrorWords } from "../../parts/failed.tsx";

export type Bridge = components["schemas"]["Bridge"];
export type BridgeName = Bridge["bridge"];

const EVERY_MS = 2_000;
const COLORS = { off: "gray", waiting: "yellow", connected: "teal", failed: "red" } as const;

/** How it is doing now. */
export function useBridge(name: BridgeName): UseQueryResult<Bridge> {
  return useQuery({
    queryKey: ["bridges", name],
    queryFn: async () => (await take(hub.GET("/api/v1/bridges/{bridge}", { params: { path: { bridge: name } } }))).bridge,
    refetchInterval: EVERY_MS,
  });
}

/** The light, what was told, and the last trouble. */
export function BridgeCard({ bridge }: { readonly bridge: Bridge }) {
  const { t } = useTranslation("smart-homes");
  const formats = useFormats();
  const counts = Object.entries(bridge.counts);
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("state")}
        </Title>
        <BridgeStatus status={bridge.status} since={bridge.since} />
        {bridge.status !== "off" && counts.length > 0 && (
          <Group gap="lg">
            {counts.map(([name, count]) => (
              <Text key={name} size="sm">
                {t(`counts.${name}`, { count, number: formats.number(count) })}
              </Text>
            ))}
          </Group>
        )}
        <Trouble error={bridge.last_error} />
        {bridge.status !== "off" && <Doings name={bridge.bridge} />}
      </Stack>
    </Card>
  );
}

export function BridgeStatus({ status, since }: { readonly status: Bridge["status"]; readonly since: string | null }) {
  const { t } = useTranslation("smart-homes");
  const formats = useFormats();
  return (
    <Group gap="sm" role="status">
      <Badge variant="dot" size="lg" color={COLORS[status]}>
        {t(`status.${status}`)}
      </Badge>
      {since !== null && <Text size="sm">{t("since", { when: formats.ago(since) })}</Text>}
    </Group>
  );
}

export function Trouble({ error }: { readonly error: Bridge["last_error"] }) {
  const { t } = useTranslation("smart-homes");
  const formats = useFormats();
  if (!error) return null;
  return (
    <Text size="sm" style={{ overflowWrap: "anywhere" }}>
      {t("trouble", { when: formats.ago(error.at) })} <Code>{error.code}</Code> {error.message}
    </Text>
  );
}

function Doings({ name }: { readonly name: BridgeName }) {
  const { t } = useTranslation("smart-homes");
  const words = useErrorWords();
  const confirm = useConfirm();
  const path = { path: { bridge: name } };
  const outcome = (message: string) => ({
    onSuccess: () => void notifications.show({ message }),
    onError: (error: Error) => void notifications.show({ color: "red", title: t("shell:failed.title"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["bridges"] }),
  });
  const resend = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/bridges/{bridge}/resend", { params: path })),
    ...outcome(t("resent")),
  });
  const unlink = useMutation({
    mutationFn: () => take(hub.DELETE("/api/v1/bridges/{bridge}", { params: path })),
    ...outcome(t("unlinked")),
  });
  const ask = (): void => confirm({ title: t("unlink"), about: t(`unlink_about.${name}`), color: "red", onYes: () => unlink.mutate() });
  return (
    <Group gap="xs">
      <Button size="xs" variant="default" loading={resend.isPending} onClick={() => resend.mutate()}>
        {t("resend")}
      </Button>
      <Button size="xs" variant="default" loading={unlink.isPending} onClick={ask}>
        {t("unlink")}
      </Button>
    </Group>
  );
}
