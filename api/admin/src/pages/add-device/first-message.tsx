import { Alert, Button, Group, Loader, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck } from "lucide-react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { LinkButton } from "../../parts/link-button.tsx";
import { Refusals } from "./refusals.tsx";

const EVERY_MS = 1_000;

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
        {!isThere && data && <Refusals deviceId={data.device.id} none={t("nothing_yet")} />}
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
