import { Button, Card, Group, List, MultiSelect, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueries } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Failed } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { commandWords } from "../definition/command-fields.tsx";
import { deviceData, deviceQuery, useDeviceChoices } from "../definition/devices.tsx";

const MOST = 100;

/** How devices are now becomes a scene. */
export function NewScenePage() {
  const { t } = useTranslation(["scenes", "definition"]);
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const { devices, onSearch } = useDeviceChoices();
  const able = devices.filter(({ capabilities: { relays = 0, lights = 0 } }) => relays + lights > 0);
  const capture = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/scenes/capture", { body: { name, devices: chosen } })),
    async onSuccess() {
      await queries.invalidateQueries({ queryKey: ["scenes"] });
      await navigate({ to: "/scenes" });
    },
  });
  return (
    <Page title={t("new")} about={t("new_about")}>
      <Card withBorder maw={640}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            capture.mutate();
          }}
        >
          <Stack>
            {capture.isError && <Failed error={capture.error} />}
            <TextInput
              label={t("name")}
              placeholder={t("name_example")}
              required
              maxLength={120}
              value={name}
              onChange={({ currentTarget }) => setName(currentTarget.value)}
            />
            <MultiSelect
              label={t("devices")}
              description={t("devices_about")}
              placeholder={chosen.length === 0 ? t("choose") : ""}
              searchable
              onSearchChange={onSearch}
              nothingFoundMessage={t("definition:no_device")}
              maxValues={MOST}
              data={deviceData(able, chosen)}
              value={chosen}
              onChange={setChosen}
            />
            <Now uids={chosen} />
            <Group>
              <Button type="submit" loading={capture.isPending} disabled={chosen.length === 0}>
                {t("capture")}
              </Button>
            </Group>
          </Stack>
        </form>
      </Card>
    </Page>
  );
}

/** What would be captured. */
function Now({ uids }: { readonly uids: readonly string[] }) {
  const { t } = useTranslation("scenes");
  const { t: tPart } = useTranslation("definition");
  const details = useQueries({ queries: uids.map(deviceQuery) }).flatMap(({ data }) => data ?? []);
  if (details.length === 0) return null;
  return (
    <Stack gap={4}>
      <Title order={2} size="h5">
        {t("now")}
      </Title>
      <List size="sm">
        {details.map(({ device, state: { relays, lights } }) => (
          <List.Item key={device.uid}>
            <Text size="sm" span>
              {device.name}
              {": "}
              {[
                ...relays.map(({ index, state }) => commandWords(tPart, { command: "set_relay", relay: index, state })),
                ...lights.map(({ index, state, brightness }) =>
                  commandWords(tPart, { command: "set_light", light: index, state, ...(brightness === undefined ? {} : { brightness }) }),
                ),
              ].join(" · ") || t("nothing_known")}
            </Text>
          </List.Item>
        ))}
      </List>
    </Stack>
  );
}
