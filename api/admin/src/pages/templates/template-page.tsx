import { Button, Card, Grid, List, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Copy, Download } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, takeTagged } from "../../hub/tagged.ts";
import { Asked } from "../../parts/asked.tsx";
import { useChange } from "../../parts/change.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { RestoreButton } from "../../parts/restore-button.tsx";
import { Preview } from "./preview.tsx";
import { type NewTemplate, TemplateForm } from "./template-form.tsx";

type Template = components["schemas"]["Template"];
interface ShownProps {
  readonly template: Template;
  readonly tag: string;
}
const SHOWN = 20;

export function TemplatePage() {
  const { id } = useParams({ from: "/shell/templates/$id" });
  const query = useQuery({
    queryKey: ["templates", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/templates/{id}", { params: { path: { id } } })),
  });
  return <Asked query={query}>{({ data: { template }, tag }) => <Shown template={template} tag={tag} />}</Asked>;
}

function Shown({ template, tag }: ShownProps) {
  return (
    <Page title={template.name} about={template.description ?? undefined} actions={<Actions template={template} tag={tag} />}>
      <Grid>
        <Grid.Col span={{ base: 12, md: 6 }}>
          {template.is_mine ? <Edited key={template.version} template={template} tag={tag} /> : <Foreign template={template} />}
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 6 }}>
          <Stack>
            <Preview key={template.version} template={template} />
            {template.is_mine && <Versions template={template} tag={tag} />}
          </Stack>
        </Grid.Col>
      </Grid>
    </Page>
  );
}

function Actions({ template: { id, name, is_mine: isMine }, tag }: ShownProps) {
  const { t } = useTranslation("templates");
  const navigate = useNavigate();
  const copy = useChange(
    "templates",
    () => take(hub.POST("/api/v1/templates/{id}/copy", { params: { path: { id } } })),
    ({ template }) => void navigate({ to: "/templates/$id", params: { id: template.id } }),
  );
  const leave = async (): Promise<void> => {
    await navigate({ to: "/templates" });
    for (const part of ["one", "versions"]) queries.removeQueries({ queryKey: ["templates", part, id] });
    await queries.invalidateQueries({ queryKey: ["templates"] });
  };
  return (
    <>
      <Button
        component="a"
        variant="default"
        leftSection={<Download size={16} aria-hidden />}
        href={`/api/v1/templates/${id}/export`}
        download={`${name}.json`}
      >
        {t("export")}
      </Button>
      <Button
        variant="default"
        leftSection={<Copy size={16} aria-hidden />}
        loading={copy.isPending}
        onClick={() => copy.mutate(undefined)}
      >
        {t("copy")}
      </Button>
      {isMine && (
        <Removal
          name={name}
          remove={() => take(hub.DELETE("/api/v1/templates/{id}", { params: { path: { id }, header: ifMatch(tag) } }))}
          onRemoved={leave}
        />
      )}
    </>
  );
}

function Edited({ template, tag }: ShownProps) {
  const { description, category, name, tags, actions, variables, is_public: isPublic } = template;
  const save = useMutation({
    mutationFn: (body: NewTemplate) =>
      take(
        hub.PUT("/api/v1/templates/{id}", {
          params: { path: { id: template.id }, header: ifMatch(tag) },
          body: { ...body, is_public: isPublic },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["templates"] }),
  });
  const initial = {
    name,
    tags,
    actions,
    variables,
    ...(description === null ? {} : { description }),
    ...(category === null ? {} : { category }),
  };
  return <TemplateForm initial={initial} error={save.error} isPending={save.isPending} onSave={save.mutate} />;
}

/** Somebody else's: to change it, one copies it. */
function Foreign({ template: { actions, variables } }: { readonly template: Template }) {
  const { t } = useTranslation("templates");
  return (
    <Card withBorder>
      <Stack>
        <Text size="sm">{t("foreign")}</Text>
        <Title order={2} size="h4">
          {t("actions")}
        </Title>
        <JsonBlock value={actions} />
        <Title order={2} size="h4">
          {t("variables")}
        </Title>
        <JsonBlock value={variables} />
      </Stack>
    </Card>
  );
}

function Versions({ template: { id, version: present }, tag }: ShownProps) {
  const { t } = useTranslation("templates");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["templates", "versions", id],
    queryFn: () => take(hub.GET("/api/v1/templates/{id}/versions", { params: { path: { id }, query: { limit: SHOWN } } })),
  });
  const restore = useChange("templates", (version: number) =>
    take(
      hub.POST("/api/v1/templates/{id}/versions/{version}/restore", {
        params: { path: { id, version: String(version) }, header: ifMatch(tag) },
      }),
    ),
  );
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("versions")}
      </Title>
      <Asked query={query}>
        {({ data }) => (
          <List size="sm" spacing="xs">
            {data.map(({ version, name, note, changed_at: at }) => (
              <List.Item key={version}>
                <Text size="sm">
                  {version}: {name} ({formats.dateTime(at)}){note !== null && `: ${note}`}
                </Text>
                {version !== present && <RestoreButton version={version} change={restore} />}
              </List.Item>
            ))}
          </List>
        )}
      </Asked>
    </Card>
  );
}
