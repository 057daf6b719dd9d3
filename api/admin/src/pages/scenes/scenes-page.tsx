import { Alert, Button, Card, Group, List, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Camera, Play } from "lucide-react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch } from "../../hub/tagged.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Removal } from "../../parts/removal.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { useUrlFilters } from "../../parts/url-filters.ts";
import { commandWords } from "../definition/command-fields.tsx";
import { useDeviceName } from "../definition/devices.tsx";

type Scene = components["schemas"]["Scene"];
type Result = components["schemas"]["SceneActivated"]["results"][number];
const PAGE = 50;

export function ScenesPage() {
  const { t } = useTranslation(["scenes", "definition"]);
  const { filters, set } = useUrlFilters();
  const { search } = filters;
  const query = usePages({
    queryKey: ["scenes", "list", search],
    ask: (cursor) =>
      take(
        hub.GET("/api/v1/scenes", {
          params: { query: { ...(search && { search }), ...cursor, limit: PAGE } },
        }),
      ),
  });
  return (
    <Page title={t("title")} about={t("about")} actions={<NewButton />}>
      <Group>
        <TypedFilter label={t("shell:search")} placeholder={t("name")} value={search} onChange={(text) => set({ search: text })} />
      </Group>
      <Paged
        query={query}
        empty={
          <Empty title={t(search ? "no_match" : "empty")} action={search ? undefined : <NewButton />}>
            {t(search ? "no_match_about" : "empty_about")}
          </Empty>
        }
      >
        {(scenes) => (
          <Stack>
            {scenes.map((scene) => (
              <SceneCard key={scene.id} scene={scene} />
            ))}
          </Stack>
        )}
      </Paged>
    </Page>
  );
}

function NewButton() {
  const { t } = useTranslation("scenes");
  return (
    <LinkButton to="/scenes/new" leftSection={<Camera size={16} aria-hidden />}>
      {t("new")}
    </LinkButton>
  );
}

function SceneCard({ scene: { id, name, description, commands } }: { readonly scene: Scene }) {
  const { t } = useTranslation("scenes");
  const { t: tPart } = useTranslation("definition");
  const nameOf = useDeviceName();
  const activation = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/scenes/{id}/activate", { params: { path: { id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  const remove = () => take(hub.DELETE("/api/v1/scenes/{id}", { params: { path: { id }, header: ifMatch("*") } }));
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Group justify="space-between" align="flex-start">
          <div>
            <Title order={2} size="h4">
              <TextLink to="/scenes/$id" params={{ id }} inherit>
                {name}
              </TextLink>
            </Title>
            {description !== null && <Text size="sm">{description}</Text>}
          </div>
          <Group gap="xs">
            <Allowed need="device.control">
              <Button
                leftSection={<Play size={16} aria-hidden />}
                loading={activation.isPending}
                onClick={() => activation.mutate()}
                aria-label={t("activate_one", { name })}
              >
                {t("activate")}
              </Button>
            </Allowed>
            <Allowed need="automation.manage">
              <Removal name={name} remove={remove} onRemoved={() => queries.invalidateQueries({ queryKey: ["scenes"] })} />
            </Allowed>
          </Group>
        </Group>
        <List size="sm">
          {commands.map(({ device, command }) => (
            <List.Item key={`${device} ${JSON.stringify(command)}`}>
              {nameOf(device)}: {commandWords(tPart, command)}
            </List.Item>
          ))}
        </List>
        {activation.isError && <Failed error={activation.error} />}
        {activation.data && <Results results={activation.data.results} />}
      </Stack>
    </Card>
  );
}

/** Of each device what became of its part. */
function Results({ results }: { readonly results: readonly Result[] }) {
  const { t } = useTranslation("scenes");
  const nameOf = useDeviceName();
  const isDone = results.every(({ status }) => status === "ok");
  return (
    <Alert color={isDone ? "teal" : "yellow"} variant="default" role="status" title={t(isDone ? "all_done" : "partly_done")}>
      <List size="sm">
        {results.map(({ device, command_id: id, status, message, code }) => (
          <List.Item key={id}>
            {nameOf(device)}: {t(`result.${status}`)}
            {status === "failed" && ` (${message ?? code})`}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}
