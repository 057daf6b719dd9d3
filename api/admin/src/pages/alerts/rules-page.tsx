import { Group, Stack, Switch, Table, Text } from "@mantine/core";
import { Plus } from "lucide-react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, takeTagged } from "../../hub/tagged.ts";
import { useChange } from "../../parts/change.tsx";
import { Choice } from "../../parts/choice.tsx";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { inWords } from "./condition.ts";
import { SeverityBadge } from "./severity.tsx";

type Rule = components["schemas"]["AlertRule"];
const PAGE = 50;
const ENABLED = ["true", "false"] as const;

export function AlertRulesPage() {
  const { t } = useTranslation("alerts");
  const { filters, set } = useUrlFilters();
  const enabled = oneOf(ENABLED, filters["is_enabled"]);
  const asked = { ...(filters["search"] && { search: filters["search"] }), ...(enabled && { is_enabled: enabled === "true" }) };
  const query = usePages({
    queryKey: ["alert-rules", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/alert-rules", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
  });
  const make = (
    <LinkButton to="/alerts/rules/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("new_rule")}
    </LinkButton>
  );
  return (
    <Page title={t("rules")} about={t("rules_about")} actions={make}>
      <Group align="flex-end">
        <TypedFilter label={t("shell:search")} value={filters["search"]} onChange={(search) => set({ search })} />
        <Choice
          label={t("enabled")}
          values={ENABLED.map((value) => ({ value, label: t(value === "true" ? "shell:yes" : "shell:no") }))}
          value={enabled}
          onChange={(value) => set({ is_enabled: value })}
        />
      </Group>
      <Paged query={query} empty={<Empty title={t("no_rules")}>{t("no_rules_about")}</Empty>}>
        {(rules) => (
          <WideTable minWidth={560} label={t("rules")}>
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t("name")}</Table.Th>
                  <Table.Th>{t("severity")}</Table.Th>
                  <Table.Th>{t("device")}</Table.Th>
                  <Table.Th>{t("enabled")}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {rules.map((rule) => (
                  <RuleRow key={rule.id} rule={rule} />
                ))}
              </Table.Tbody>
            </Table>
          </WideTable>
        )}
      </Paged>
    </Page>
  );
}

function RuleRow({ rule }: { readonly rule: Rule }) {
  const { t } = useTranslation("alerts");
  const { id, name, device, is_enabled: isEnabled, severity, condition } = rule;
  const { may } = useRights();
  const nameOf = useDeviceName();
  const enable = useChange("alert-rules", async (wanted: boolean) => {
    const { tag } = await takeTagged(hub.GET("/api/v1/alert-rules/{id}", { params: { path: { id } } }));
    const params = { path: { id }, header: ifMatch(tag) };
    return take(hub.PATCH("/api/v1/alert-rules/{id}", { params, body: { is_enabled: wanted } }));
  });
  return (
    <Table.Tr>
      <Table.Td>
        <Stack gap={0}>
          <TextLink to="/alerts/rules/$id" params={{ id }} size="sm">
            {name}
          </TextLink>
          <Text size="xs">{inWords(t, condition)}</Text>
        </Stack>
      </Table.Td>
      <Table.Td>
        <SeverityBadge severity={severity} />
      </Table.Td>
      <Table.Td>{device === null || device === undefined ? t("any_device") : nameOf(device)}</Table.Td>
      <Table.Td>
        <Switch
          checked={enable.isPending ? enable.variables : isEnabled}
          disabled={enable.isPending || !may("automation.manage")}
          onChange={({ currentTarget }) => enable.mutate(currentTarget.checked)}
          aria-label={t("enable", { name })}
        />
      </Table.Td>
    </Table.Tr>
  );
}
