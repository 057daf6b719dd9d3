import { Button, Card, Grid, Stack, Text, Title } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Copy, Download } from "lucide-react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, type Tagged, takeTagged } from "../../hub/tagged.ts";
import { Allowed, Editable } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { useChange } from "../../parts/change.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { useUrlFilters } from "../../parts/url-filters.ts";
import { useEdited } from "../definition/edited.tsx";
import { patchBetween } from "../definition/merge-patch.ts";
import { Versions } from "../definition/versions.tsx";
import { Preview } from "./preview.tsx";
import { type NewTemplate, TemplateForm } from "./template-form.tsx";

type Template = components["schemas"]["Template"];
type One = Tagged<components["schemas"]["OneTemplate"]>;
interface ShownProps {
  readonly one: One;
}

export function TemplatePage() {
  const { id } = useParams({ from: "/shell/templates/$id" });
  const query = useQuery(templateQuery(id));
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: ShownProps) {
  const { t } = useTranslation(["templates", "definition"]);
  const { filters, set } = useUrlFilters();
  const { template } = one.data;
  const views = [
    { name: "definition", label: t("tabs.definition"), content: <Definition one={one} /> },
    { name: "versions", label: t("tabs.versions"), content: <Former one={one} /> },
  ];
  return (
    <Page title={template.name} about={template.description ?? undefined} actions={<Actions template={template} tag={one.tag} />}>
      {template.is_mine ? <TabViews shown={filters["tab"]} onShow={(tab) => set({ tab })} views={views} /> : <Definition one={one} />}
    </Page>
  );
}

function Definition({ one }: ShownProps) {
  const { template } = one.data;
  return (
    <Grid>
      <Grid.Col span={{ base: 12, md: 6 }}>
        {template.is_mine ? (
          <Editable need="automation.manage">
            <Edited one={one} />
          </Editable>
        ) : (
          <Foreign template={template} />
        )}
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 6 }}>
        <Preview key={template.version} template={template} />
      </Grid.Col>
    </Grid>
  );
}

function Actions({ template: { id, name, is_mine: isMine }, tag }: { readonly template: Template; readonly tag: string }) {
  const { t } = useTranslation("templates");
  const navigate = useNavigate();
  const copy = useChange(
    "templates",
    () => take(hub.POST("/api/v1/templates/{id}/copy", { params: { path: { id } } })),
    ({ template }) => void navigate({ to: "/templates/$id", params: { id: template.id } }),
  );
  const leave = async (): Promise<void> => {
    await navigate({ to: "/templates" });
    queries.removeQueries({ queryKey: ["templates", "one", id] });
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
      <Allowed need="automation.manage">
        <Button
          variant="default"
          leftSection={<Copy size={16} aria-hidden />}
          loading={copy.isPending}
          onClick={() => copy.mutate(undefined)}
        >
          {t("copy")}
        </Button>
      </Allowed>
      {isMine && (
        <Allowed need="automation.manage">
          <Removal
            name={name}
            remove={() => take(hub.DELETE("/api/v1/templates/{id}", { params: { path: { id }, header: ifMatch(tag) } }))}
            onRemoved={leave}
          />
        </Allowed>
      )}
    </>
  );
}

const templateQuery = (id: string) =>
  queryOptions({
    queryKey: ["templates", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/templates/{id}", { params: { path: { id } } })),
  });

const draftOf = ({ template }: One["data"]): NewTemplate => {
  const { name, description, category, tags, actions, variables, is_public: isPublic } = template;
  return {
    name,
    ...(description === null ? {} : { description }),
    ...(category === null ? {} : { category }),
    ...(tags.length === 0 ? {} : { tags }),
    actions,
    variables,
    is_public: isPublic,
  };
};

function Edited({ one }: ShownProps) {
  const { id } = one.data.template;
  const { key, form } = useEdited({
    one,
    queryKey: templateQuery(id).queryKey,
    draftOf,
    send: (draft, { data, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/templates/{id}", {
          params: { path: { id }, header: ifMatch(tag) },
          body: patchBetween(draftOf(data), draft),
        }),
      ),
  });
  return <TemplateForm key={key} {...form} />;
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

function Former({ one: { data, tag } }: ShownProps) {
  const { id, version } = data.template;
  const restore = (former: number) =>
    take(
      hub.POST("/api/v1/templates/{id}/versions/{version}/restore", {
        params: { path: { id, version: String(former) }, header: ifMatch(tag) },
      }),
    );
  return (
    <Versions
      name={["templates", "one", id]}
      present={version}
      ask={(query) => take(hub.GET("/api/v1/templates/{id}/versions", { params: { path: { id }, query } }))}
      compare={(from, to) =>
        take(
          hub.GET("/api/v1/templates/{id}/versions/{version}/diff", {
            params: { path: { id, version: String(from) }, query: { to: String(to) } },
          }),
        )
      }
      restore={restore}
    />
  );
}
