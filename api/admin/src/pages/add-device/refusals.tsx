import { List, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { ApiError, hub, take } from "../../hub/client.ts";

const EVERY_MS = 2_000;
const REFUSALS = 5;
const REASONS = ["bad_credentials", "too_many_failures", "client_id_of_another", "will_forbidden"] as const;

interface RefusalsProps {
  readonly deviceId: string;
  /** Said where there are none. */
  readonly none: string;
}

/** The last connects that were refused to whoever gave its name, with what is to be done about them. */
export function Refusals({ deviceId, none }: RefusalsProps) {
  const { t } = useTranslation("add-device");
  const formats = useFormats();
  const { data, error } = useQuery({
    queryKey: ["audit", "refused-logins", deviceId],
    queryFn: () =>
      take(hub.GET("/api/v1/audit", { params: { query: { resource_id: deviceId, action: "mqtt.login_refused", limit: REFUSALS } } })),
    refetchInterval: ({ state }) => (isForbidden(state.error) ? false : EVERY_MS),
  });
  if (isForbidden(error)) return <Text size="sm">{t("refusals_hidden")}</Text>;
  if (!data || data.data.length === 0) return <Text size="sm">{none}</Text>;
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
