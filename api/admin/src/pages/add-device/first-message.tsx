import { Alert, Button, Group, List, Loader, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { ApiError, hub, take } from "../../hub/client.ts";
import { LinkButton } from "../../parts/link-button.tsx";

const EVERY_MS = 1_000;
const REFUSALS = 5;
const REASONS = ["bad_credentials", "too_many_failures", "client_id_of_another", "will_forbidden"] as const;

/** Turns green by itself, or says why the hub has refused to let the device in. */
export function FirstMessage({ uid, onAgain }: { readonly uid: string; readonly onAgain: () => void }) {
  const { t } = useTranslation("add-device");
  const { data } = useQuery({
    queryKey: ["devices", "first-message", uid],
    queryFn: () => take(hub.GET("/api/v1/devices/{id}", { params: { path: { id: uid } } })),
    refetchInterval: ({ state }) => (hasSpoken(state.data) ? false : EVERY_MS),
  });
  const isThere = hasSpoken(data);
  return (
    <Alert color={isThere ? "teal" : "gray"} role="status" icon={isThere ? <CircleCheck aria-hidden /> : <Loader size="xs" aria-hidden />}>
      <Stack gap="xs">
        <Group justify="space-between">
          <Text>{t(isThere ? "arrived" : "waiting")}</Text>
          {isThere && (
            <Group gap="xs">
              <LinkButton size="xs" to="/devices/$id" params={{ id: uid }}>
                {t("open")}
              </LinkButton>
              <Button size="xs" variant="default" onClick={onAgain}>
                {t("another")}
              </Button>
            </Group>
          )}
        </Group>
        {!isThere && data && <Refusals deviceId={data.device.id} />}
      </Stack>
    </Alert>
  );
}

interface Spoken {
  readonly device: { readonly last_seen_at: string | null };
  readonly sensors: readonly unknown[];
}

/** Over HTTP nobody connects: then a reading says that it is there. */
const hasSpoken = (detail: Spoken | undefined): boolean =>
  detail !== undefined && (detail.device.last_seen_at !== null || detail.sensors.length > 0);

function Refusals({ deviceId }: { readonly deviceId: string }) {
  const { t } = useTranslation("add-device");
  const formats = useFormats();
  const { data, error } = useQuery({
    queryKey: ["audit", "refused-logins", deviceId],
    queryFn: () =>
      take(hub.GET("/api/v1/audit", { params: { query: { resource_id: deviceId, action: "mqtt.login_refused", limit: REFUSALS } } })),
    refetchInterval: ({ state }) => (isForbidden(state.error) ? false : EVERY_MS),
  });
  if (isForbidden(error)) return <Text size="sm">{t("refusals_hidden")}</Text>;
  if (!data || data.data.length === 0) return <Text size="sm">{t("nothing_yet")}</Text>;
  return (
    <>
      <Text size="sm" fw={600}>
        {t("refused")}
      </Text>
      <List size="sm">
        {data.data.map(({ id, created_at: at, details }) => (
          <List.Item key={id}>
            {t("refusal", { time: formats.time(at), address: textOf(details["address"]) })}{" "}
            {t(`reasons.${REASONS.find((one) => one === details["reason"]) ?? "other"}`, { reason: textOf(details["reason"]) })}
          </List.Item>
        ))}
      </List>
    </>
  );
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const isForbidden = (error: unknown): boolean => error instanceof ApiError && error.status === 403;
