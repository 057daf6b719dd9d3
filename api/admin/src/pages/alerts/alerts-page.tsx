import { Group, Select, Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Choice } from "../../parts/choice.tsx";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Empty } from "../../parts/empty.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { TextLink } from "../../parts/text-link.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";
import { useDeviceName } from "../definition/devices.tsx";
import { AlertActions } from "./alert-actions.tsx";
import { SEVERITIES, SeverityBadge } from "./severity.tsx";

type Alert = components["schemas"]["Alert"];
const STATUSES = ["open", "firing", "acknowledged", "resolved"] as const;
const PAGE = 50;

/** What is open, until somebody asks for something else. */
export function AlertsPage() {
  const { t } = useTranslation("alerts");
  const { filters } = useUrlFilters();
  const status = filters["status"] === "all" ? undefined : (oneOf(STATUSES, filters["status"]) ?? "open");
  const severity = oneOf(SEVERITIES, filters["severity"]);
  const asked = { ...(status && { status }), ...(severity && { severity }), ...(filters["device"] && { device: filters["device"] }) };
  const query = usePages({
    queryKey: ["alerts", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/alerts", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
  });
  return (
    <Page
      title={t("title")}
      about={t("about")}
      actions={
        <LinkButton to="/alerts/rules" variant="default">
          {t("rules")}
        </LinkButton>
      }
    >
      <Filters status={status ?? "all"} />
      <Paged
        query={query}
        empty={
          <Empty title={t(status === "open" ? "calm" : "empty")} action={<LinkButton to="/alerts/rules/new">{t("new_rule")}</LinkButton>}>
            {t("empty_about")}
          </Empty>
        }
      >
        {(alerts) => <AlertTable alerts={alerts} />}
      </Paged>
    </Page>
  );
}

function Filters({ status }: { readonly status: string }) {
  const { t } = useTranslation("alerts");
  const { filters, set } = useUrlFilters();
  return (
    <Group align="flex-end">
      <Select
        label={t("status")}
        allowDeselect={false}
        data={[...STATUSES, "all"].map((value) => ({ value, label: t(`statuses.${value}`) }))}
        value={status}
        onChange={(value) => set({ status: value ?? undefined })}
      />
      <Choice
        label={t("severity")}
        values={SEVERITIES.map((value) => ({ value, label: t(`severities.${value}`) }))}
        value={oneOf(SEVERITIES, filters["severity"])}
        onChange={(severity) => set({ severity })}
      />
      <DeviceSelect
        label={t("device")}
        placeholder={t("shell:all")}
        value={filters["device"]}
        onChange={(device) => set({ device: device?.uid })}
      />
    </Group>
  );
}

function AlertTable({ alerts }: { readonly alerts: readonly Alert[] }) {
  const { t } = useTranslation("alerts");
  const nameOf = useDeviceName();
  const formats = useFormats();
  return (
    <WideTable minWidth={720} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("alert")}</Table.Th>
            <Table.Th>{t("severity")}</Table.Th>
            <Table.Th>{t("status")}</Table.Th>
            <Table.Th>{t("raised")}</Table.Th>
            <Table.Th>{t("do")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {alerts.map((alert) => (
            <Table.Tr key={alert.id}>
              <Table.Td>
                <Stack gap={0}>
                  <TextLink to="/alerts/$id" params={{ id: alert.id }} size="sm">
                    {alert.title}
                  </TextLink>
                  {alert.uid !== null && (
                    <TextLink to="/devices/$id" params={{ id: alert.uid }} size="xs">
                      {nameOf(alert.uid)}
                    </TextLink>
                  )}
                </Stack>
              </Table.Td>
              <Table.Td>
                <SeverityBadge severity={alert.severity} />
              </Table.Td>
              <Table.Td>
                {t(`statuses.${alert.status}`)}
                {isSilenced(alert) && <Text size="xs">{t("silenced", { when: formats.dateTime(alert.silenced_until ?? "") })}</Text>}
              </Table.Td>
              <Table.Td>{formats.ago(alert.raised_at)}</Table.Td>
              <Table.Td>
                <Allowed need="alert.handle">
                  <AlertActions alert={alert} />
                </Allowed>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

export const isSilenced = ({ silenced_until: until, status }: Alert): boolean =>
  status !== "resolved" && until !== null && Date.parse(until) > Date.now();
