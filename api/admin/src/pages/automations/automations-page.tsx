import { Anchor, Group, Table, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Choice } from "../../parts/choice.tsx";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";
import type { Node } from "../definition/nodes.ts";
import { useNodeWords } from "../definition/words.ts";
import type { Automation } from "./automation.ts";
import { EnabledSwitch } from "./enabled-switch.tsx";

const STATES = ["on", "off"] as const;
const PAGE = 50;
/** Events tell when one fires; of one that somebody else has changed none does. */
const EVERY_MS = 30_000;

export function AutomationsPage() {
  const { t } = useTranslation(["automations", "definition"]);
  const { filters } = useUrlFilters();
  const { search } = filters;
  const state = oneOf(STATES, filters["state"]);
  const asked = { ...(search && { search }), ...(state && { is_enabled: state === "on" }) };
  const query = usePages({
    queryKey: ["automations", "list", asked],
    ask: (cursor) =>
      take(
        hub.GET("/api/v1/automations", {
          params: { query: { ...asked, ...cursor, limit: PAGE } },
        }),
      ),
    refetchInterval: EVERY_MS,
  });
  return (
    <Page title={t("title")} about={t("about")} actions={<NewButton />}>
      <Filters />
      <Paged query={query} empty={<Nothing isFiltered={Object.keys(asked).length > 0} />}>
        {(automations) => <AutomationTable automations={automations} />}
      </Paged>
    </Page>
  );
}

function NewButton() {
  const { t } = useTranslation("automations");
  return (
    <LinkButton to="/automations/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("new")}
    </LinkButton>
  );
}

function Nothing({ isFiltered }: { readonly isFiltered: boolean }) {
  const { t } = useTranslation("automations");
  if (isFiltered) return <Empty title={t("no_match")}>{t("no_match_about")}</Empty>;
  return (
    <Empty title={t("empty")} action={<NewButton />}>
      {t("empty_about")}
    </Empty>
  );
}

function Filters() {
  const { t } = useTranslation("automations");
  const { filters, set } = useUrlFilters();
  return (
    <Group align="flex-end">
      <TypedFilter label={t("shell:search")} placeholder={t("search")} value={filters["search"]} onChange={(search) => set({ search })} />
      <Choice
        label={t("state")}
        values={STATES.map((value) => ({ value, label: t(value) }))}
        value={oneOf(STATES, filters["state"])}
        onChange={(state) => set({ state })}
      />
    </Group>
  );
}

function AutomationTable({ automations }: { readonly automations: readonly Automation[] }) {
  const { t } = useTranslation("automations");
  const formats = useFormats();
  const words = useNodeWords();
  return (
    <WideTable minWidth={640} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("set_off_by")}</Table.Th>
            <Table.Th>{t("fired")}</Table.Th>
            <Table.Th>{t("state")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {automations.map((automation) => (
            <Table.Tr key={automation.id}>
              <Table.Td>
                <Anchor component={Link} to="/automations/$id" params={{ id: automation.id } as never}>
                  {automation.name}
                </Anchor>
              </Table.Td>
              <Table.Td>
                {(automation.triggers as readonly unknown[] as readonly Node[]).map((trigger) => (
                  <Text size="sm" key={JSON.stringify(trigger)}>
                    {words("trigger", trigger)}
                  </Text>
                ))}
              </Table.Td>
              <Table.Td>
                {automation.last_fired_at === null
                  ? t("never")
                  : t("fired_times", { when: formats.ago(automation.last_fired_at), count: automation.fire_count })}
              </Table.Td>
              <Table.Td>
                <EnabledSwitch automation={automation} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
