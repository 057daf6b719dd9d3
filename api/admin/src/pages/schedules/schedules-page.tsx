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
import { useRecurrenceWords } from "../definition/words.ts";
import { ActiveSwitch } from "./active-switch.tsx";
import type { Schedule } from "./schedule.ts";

const STATES = ["active", "paused"] as const;
const PAGE = 50;
/** Events tell when one fires; of one that somebody else has changed none does. */
const EVERY_MS = 30_000;
/** Of the next times. */
const SHOWN = 3;

export function SchedulesPage() {
  const { t } = useTranslation(["schedules", "definition"]);
  const { filters } = useUrlFilters();
  const { search } = filters;
  const state = oneOf(STATES, filters["state"]);
  const asked = { ...(search && { search }), ...(state && { is_active: state === "active" }) };
  const query = usePages({
    queryKey: ["schedules", "list", asked],
    ask: (cursor) => take(hub.GET("/api/v1/schedules", { params: { query: { ...asked, ...cursor, limit: PAGE } } })),
    refetchInterval: EVERY_MS,
  });
  const isFiltered = Object.keys(asked).length > 0;
  return (
    <Page title={t("title")} about={t("about")} actions={<NewButton />}>
      <Filters />
      <Paged
        query={query}
        empty={
          <Empty title={t(isFiltered ? "no_match" : "empty")} action={isFiltered ? undefined : <NewButton />}>
            {t(isFiltered ? "no_match_about" : "empty_about")}
          </Empty>
        }
      >
        {(schedules) => <ScheduleTable schedules={schedules} />}
      </Paged>
    </Page>
  );
}

function NewButton() {
  const { t } = useTranslation("schedules");
  return (
    <LinkButton to="/schedules/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("new")}
    </LinkButton>
  );
}

function Filters() {
  const { t } = useTranslation("schedules");
  const { filters, set } = useUrlFilters();
  return (
    <Group align="flex-end">
      <TypedFilter label={t("shell:search")} placeholder={t("name")} value={filters["search"]} onChange={(search) => set({ search })} />
      <Choice
        label={t("state")}
        values={STATES.map((value) => ({ value, label: t(value) }))}
        value={oneOf(STATES, filters["state"])}
        onChange={(state) => set({ state })}
      />
    </Group>
  );
}

function ScheduleTable({ schedules }: { readonly schedules: readonly Schedule[] }) {
  const { t } = useTranslation("schedules");
  const formats = useFormats();
  const words = useRecurrenceWords();
  return (
    <WideTable minWidth={640} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("when")}</Table.Th>
            <Table.Th>{t("next")}</Table.Th>
            <Table.Th>{t("last")}</Table.Th>
            <Table.Th>{t("state")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {schedules.map((schedule) => (
            <Table.Tr key={schedule.id}>
              <Table.Td>
                <Anchor component={Link} to="/schedules/$id" params={{ id: schedule.id } as never}>
                  {schedule.name}
                </Anchor>
              </Table.Td>
              <Table.Td>{words(schedule.recurrence)}</Table.Td>
              <Table.Td>
                {schedule.next_runs.slice(0, SHOWN).map((at) => (
                  <Text size="sm" key={at}>
                    {formats.dateTime(at)}
                  </Text>
                ))}
              </Table.Td>
              <Table.Td>{schedule.last_run_at === null ? t("never") : formats.ago(schedule.last_run_at)}</Table.Td>
              <Table.Td>
                <ActiveSwitch schedule={schedule} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
