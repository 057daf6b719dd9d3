import { Button, Group, Paper, Select, Stack, Switch, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { BulkDialog } from "./bulk-dialog.tsx";
import type { Chosen, Device } from "./chosen.ts";
import { rooms } from "../../hub/rooms.ts";

const HOMES = ["home_assistant", "homekit", "alexa"] as const;

/** What can be done with all that are chosen. */
export function BulkBar({ chosen }: { readonly chosen: Chosen }) {
  const { t } = useTranslation("devices");
  const { devices } = chosen;
  return (
    <Paper withBorder p="xs" role="region" aria-label={t("bulk")} display={devices.length === 0 ? "none" : "block"}>
      <Group gap="xs">
        <Text size="sm" role="status">
          {t("chosen", { count: devices.length })}
        </Text>
        <Allowed need="place.manage">
          <Move devices={devices} />
        </Allowed>
        <Allowed need="device.manage">
          <Expose devices={devices} />
        </Allowed>
        <Allowed need="device.own">
          <Remove devices={devices} />
        </Allowed>
        <Button size="xs" variant="subtle" onClick={chosen.clear}>
          {t("clear")}
        </Button>
      </Group>
    </Paper>
  );
}

interface ActionProps {
  readonly devices: readonly Device[];
}

const NOWHERE: { room: string | null } = { room: null };

function Move({ devices }: ActionProps) {
  const { t } = useTranslation("devices");
  const places = useQuery(rooms);
  return (
    <BulkDialog
      label={t("move")}
      devices={devices}
      initial={NOWHERE}
      step={({ room }) =>
        ({ uid }) =>
          take(hub.PATCH("/api/v1/devices/{id}", { params: { path: { id: uid } }, body: { room_id: room } }))
        }
    >
      {(form) => (
        <Select
          label={t("room")}
          placeholder={t("shell:none")}
          searchable
          clearable
          clearButtonProps={{ "aria-label": t("shell:none") }}
          data={(places.data?.data ?? []).map(({ id: value, name: label }) => ({ value, label }))}
          {...form.getInputProps("room")}
        />
      )}
    </BulkDialog>
  );
}

function Expose({ devices }: ActionProps) {
  const { t } = useTranslation("devices");
  return (
    <BulkDialog
      label={t("expose")}
      devices={devices}
      initial={{ home_assistant: true, homekit: true, alexa: true }}
      step={(body) =>
        ({ uid }) =>
          take(hub.PATCH("/api/v1/devices/{id}/exposure", { params: { path: { id: uid } }, body }))
        }
    >
      {(form) => (
        <Stack gap="xs">
          <Text size="sm">{t("expose_about")}</Text>
          {HOMES.map((home) => (
            <Switch key={home} label={t(`shell:nav.${home}`)} {...form.getInputProps(home, { type: "checkbox" })} />
          ))}
        </Stack>
      )}
    </BulkDialog>
  );
}

function Remove({ devices }: ActionProps) {
  const { t } = useTranslation("devices");
  return (
    <BulkDialog
      label={t("shell:remove")}
      devices={devices}
      initial={{}}
      isForGood
      step={() =>
        ({ uid }) =>
          take(hub.DELETE("/api/v1/devices/{id}", { params: { path: { id: uid } } }))
        }
    >
      {() => <Text size="sm">{t("remove_about")}</Text>}
    </BulkDialog>
  );
}
