import { Button, Card, Group, List, Select, Stack, Switch, Text, TextInput, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useIsMutating, useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { rooms } from "../../hub/rooms.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Removal } from "../../parts/removal.tsx";
import { Configuration } from "./configuration.tsx";
import { LEAVING } from "./leaving.ts";
import { Release } from "./release.tsx";

type Device = components["schemas"]["Device"];
type Patch = components["schemas"]["DevicePatch"];
const SENSITIVITIES = ["low", "normal", "high", "critical"] as const;
const HOMES = ["home_assistant", "homekit", "alexa"] as const;

export function Settings({ device }: { readonly device: Device }) {
  return (
    <Stack>
      <Names key={device.updated_at} device={device} />
      <Configuration key={JSON.stringify(device.settings)} device={device} />
      <Homes uid={device.uid} />
      <Allowed need="device.own">
        <Release device={device} />
        <RemovalCard device={device} />
      </Allowed>
    </Stack>
  );
}

/** Only what was changed is said: whoever may rename may not always move. */
function Names({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const [name, setName] = useState(device.name);
  const [roomId, setRoomId] = useState(device.room_id);
  const [sensitivity, setSensitivity] = useState(device.sensitivity);
  const places = useQuery(rooms).data?.data;
  const patch: Patch = {
    ...(name === device.name ? {} : { name }),
    ...(roomId === device.room_id ? {} : { room_id: roomId }),
    ...(sensitivity === device.sensitivity ? {} : { sensitivity }),
  };
  const saving = useMutation({
    mutationFn: () => take(hub.PATCH("/api/v1/devices/{id}", { params: { path: { id: device.uid } }, body: patch })),
    onSuccess: () => notifications.show({ message: t("saved") }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("settings")}
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          saving.mutate();
        }}
      >
        <Stack maw={480}>
          <TextInput
            label={t("name")}
            required
            maxLength={120}
            value={name}
            onChange={({ currentTarget }) => setName(currentTarget.value)}
          />
          <Select
            label={t("room")}
            placeholder={t("shell:none")}
            clearable
            clearButtonProps={{ "aria-label": t("shell:none") }}
            searchable
            data={(places ?? []).map((room) => ({ value: room.id, label: room.name }))}
            value={roomId}
            onChange={setRoomId}
          />
          <Select
            label={t("sensitivity")}
            description={t("sensitivity_about")}
            allowDeselect={false}
            data={SENSITIVITIES.map((value) => ({ value, label: t(`sensitivities.${value}`) }))}
            value={sensitivity}
            onChange={(value) => setSensitivity(SENSITIVITIES.find((one) => one === value) ?? sensitivity)}
          />
          {saving.isError && <Failed error={saving.error} />}
          <Group>
            <Button type="submit" loading={saving.isPending} disabled={Object.keys(patch).length === 0}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function Homes({ uid }: { readonly uid: string }) {
  const { t } = useTranslation("device");
  const key = ["devices", "one", uid, "exposure"];
  const isRemoved = useIsMutating({ mutationKey: LEAVING }) > 0;
  const query = useQuery({
    enabled: !isRemoved,
    queryKey: key,
    queryFn: () => take(hub.GET("/api/v1/devices/{id}/exposure", { params: { path: { id: uid } } })),
  });
  const changing = useMutation({
    mutationFn: (body: components["schemas"]["ExposurePatch"]) =>
      take(hub.PATCH("/api/v1/devices/{id}/exposure", { params: { path: { id: uid } }, body })),
    onSuccess: (now) => queries.setQueryData(key, now),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("homes")}
      </Title>
      <Asked query={query}>
        {({ exposure }) => (
          <Stack gap="xs">
            {HOMES.map((home) => (
              <Switch
                key={home}
                label={t(`shell:nav.${home}`)}
                checked={exposure[home]}
                disabled={changing.isPending}
                onChange={({ currentTarget }) => changing.mutate({ [home]: currentTarget.checked })}
              />
            ))}
            {changing.isError && <Failed error={changing.error} />}
          </Stack>
        )}
      </Asked>
    </Card>
  );
}

function RemovalCard({ device: { uid, name } }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const navigate = useNavigate();
  const leave = async (): Promise<void> => {
    notifications.show({ message: t("removed", { name }) });
    await navigate({ to: "/devices" });
    queries.removeQueries({ queryKey: ["devices", "one", uid] });
    await queries.invalidateQueries({ queryKey: ["devices", "list"] });
  };
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("removal")}
      </Title>
      <Stack align="flex-start">
        <Text size="sm">{t("removal_about")}</Text>
        <Removal
          name={name}
          button={{ color: "red", variant: "outline" }}
          mutationKey={LEAVING}
          remove={() => take(hub.DELETE("/api/v1/devices/{id}", { params: { path: { id: uid } } }))}
          onRemoved={leave}
        >
          {t("removes")}
          <List size="sm">
            {["readings", "commands", "credentials", "ir", "homes"].map((what) => (
              <List.Item key={what}>{t(`removes_what.${what}`)}</List.Item>
            ))}
          </List>
        </Removal>
      </Stack>
    </Card>
  );
}
