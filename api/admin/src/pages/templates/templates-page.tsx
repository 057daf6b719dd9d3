import { Button, FileButton, Group, Stack, Table, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Plus, Upload } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Choice } from "../../parts/choice.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";

type Summary = components["schemas"]["TemplateSummary"];
type TemplateFile = components["schemas"]["TemplateImport"];
const PAGE = 50;
const VISIBILITIES = ["mine", "public"] as const;
const SORTS = ["popularity", "name", "new"] as const;

export function TemplatesPage() {
  const { t } = useTranslation("templates");
  const { filters, set } = useUrlFilters();
  const { search, category } = filters;
  const visibility = oneOf(VISIBILITIES, filters["visibility"]);
  const sort = oneOf(SORTS, filters["sort"]);
  const asked = { ...(search && { search }), ...(category && { category }), ...(visibility && { visibility }), ...(sort && { sort }) };
  const query = usePages({
    queryKey: ["templates", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/templates", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
  });
  const taken = useImport();
  const make = (
    <LinkButton to="/templates/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("make")}
    </LinkButton>
  );
  return (
    <Page
      title={t("title")}
      about={t("about")}
      actions={
        <>
          <Allowed need="automation.manage">
            <FileButton
              accept="application/json,.json"
              onChange={(file) => file && taken.mutate(file)}
              inputProps={{ "aria-label": t("import") }}
            >
              {(props) => (
                <Button {...props} variant="default" leftSection={<Upload size={16} aria-hidden />} loading={taken.isPending}>
                  {t("import")}
                </Button>
              )}
            </FileButton>
          </Allowed>
          {make}
        </>
      }
    >
      {taken.isError && <Failed error={taken.error} />}
      <Group align="flex-end">
        <TypedFilter label={t("shell:search")} value={search} onChange={(value) => set({ search: value })} />
        <TypedFilter label={t("category")} value={category} onChange={(value) => set({ category: value })} />
        <Choice
          label={t("visibility")}
          values={VISIBILITIES.map((value) => ({ value, label: t(`visibilities.${value}`) }))}
          value={visibility}
          onChange={(value) => set({ visibility: value })}
        />
        <Choice
          label={t("sort")}
          values={SORTS.map((value) => ({ value, label: t(`sorts.${value}`) }))}
          value={sort}
          onChange={(value) => set({ sort: value })}
        />
      </Group>
      <Paged query={query} empty={<Empty title={t("none")}>{t("none_about")}</Empty>}>
        {(templates) => <TemplateTable templates={templates} />}
      </Paged>
    </Page>
  );
}

/** The hub judges what is in the file, its checksum too. */
function useImport() {
  const { t } = useTranslation("templates");
  const navigate = useNavigate();
  return useMutation({
    async mutationFn(file: File) {
      const body = await file
        .text()
        .then((text) => JSON.parse(text) as TemplateFile)
        .catch((cause: unknown) => {
          throw new Error(t("no_json"), { cause });
        });
      return take(hub.POST("/api/v1/templates/import", { body }));
    },
    async onSuccess({ template: { id } }) {
      await queries.invalidateQueries({ queryKey: ["templates"] });
      await navigate({ to: "/templates/$id", params: { id } });
    },
  });
}

function TemplateTable({ templates }: { readonly templates: readonly Summary[] }) {
  const { t } = useTranslation("templates");
  const formats = useFormats();
  return (
    <WideTable minWidth={560} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("category")}</Table.Th>
            <Table.Th>{t("visibility")}</Table.Th>
            <Table.Th>{t("uses")}</Table.Th>
            <Table.Th>{t("changed")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {templates.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>
                <Stack gap={0}>
                  <TextLink to="/templates/$id" params={{ id: one.id }} size="sm">
                    {one.name}
                  </TextLink>
                  {one.description !== null && <Text size="xs">{one.description}</Text>}
                </Stack>
              </Table.Td>
              <Table.Td>{one.category}</Table.Td>
              <Table.Td>{t(one.is_public ? "visibilities.public" : "visibilities.mine")}</Table.Td>
              <Table.Td>{formats.number(one.usage_count)}</Table.Td>
              <Table.Td>{formats.ago(one.updated_at)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
