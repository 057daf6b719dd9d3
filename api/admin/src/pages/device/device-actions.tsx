import { Button, Group } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { PresenceBadge } from "../../parts/presence.tsx";
import { useCommand } from "./command.tsx";

/** What any device can be asked for. */
export function DeviceActions({ device }: { readonly device: components["schemas"]["Device"] }) {
  const { t } = useTranslation("device");
  const command = useCommand(device.uid);
  const confirm = useConfirm();
  const send = (name: "identify" | "restart"): void =>
    command.mutate({ command: name }, { onSuccess: ({ status }) => status === "ok" && notifications.show({ message: t(`${name}_done`) }) });
  const isUnderWay = (name: string): boolean => command.isPending && command.variables.command === name;
  return (
    <Group gap="xs">
      <PresenceBadge presence={device.connection_status} />
      <Allowed need="device.control" on={device.id}>
        <Button size="xs" variant="default" loading={isUnderWay("identify")} onClick={() => send("identify")}>
          {t("identify")}
        </Button>
        <Button
          size="xs"
          variant="default"
          loading={isUnderWay("restart")}
          onClick={() => confirm({ title: t("restart"), about: t("restart_about"), onYes: () => send("restart") })}
        >
          {t("restart")}
        </Button>
      </Allowed>
    </Group>
  );
}
