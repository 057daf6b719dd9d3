import { Button, Group, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { useChange } from "../../parts/change.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";

type Alert = components["schemas"]["Alert"];
const HOUR_MS = 3_600_000;
const SILENCES = { hour: HOUR_MS, night: 8 * HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS } as const;
type Silence = keyof typeof SILENCES;

/** What can be done about an alert that is not over. */
export function AlertActions({ alert: { id, title, status } }: { readonly alert: Alert }) {
  const { t } = useTranslation("alerts");
  const path = { params: { path: { id } } };
  const acknowledge = useChange("alerts", () => take(hub.POST("/api/v1/alerts/{id}/acknowledge", path)));
  if (status === "resolved") return null;
  return (
    <Group gap="xs">
      {status === "firing" && (
        <Button
          size="compact-sm"
          loading={acknowledge.isPending}
          onClick={() => acknowledge.mutate(undefined)}
          aria-label={t("acknowledge_it", { title })}
        >
          {t("acknowledge")}
        </Button>
      )}
      <SilenceMenu id={id} title={title} />
      <UndoableButton
        id={`alerts/${id}`}
        queryKey={["alerts"]}
        label={t("resolve")}
        what={title}
        about={t("resolve_about", { title })}
        send={(client) => take(client.POST("/api/v1/alerts/{id}/resolve", path))}
      />
    </Group>
  );
}

function SilenceMenu({ id, title }: { readonly id: string; readonly title: string }) {
  const { t } = useTranslation("alerts");
  const formats = useFormats();
  const silence = useChange(
    "alerts",
    (length: Silence) => {
      const until = new Date(Date.now() + SILENCES[length]).toISOString();
      return take(hub.POST("/api/v1/alerts/{id}/silence", { params: { path: { id } }, body: { until } }));
    },
    ({ alert }) =>
      notifications.show({
        message: t("silenced", { when: formats.dateTime(alert.silenced_until ?? "") }),
        closeButtonProps: { "aria-label": t("shell:close") },
      }),
  );
  return (
    <Menu>
      <Menu.Target>
        <Button size="compact-sm" variant="default" loading={silence.isPending} aria-label={t("silence_it", { title })}>
          {t("silence")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(SILENCES) as Silence[]).map((length) => (
          <Menu.Item key={length} onClick={() => silence.mutate(length)}>
            {t(`for.${length}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
