import { Anchor, Button, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Search } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { useRecurrenceWords } from "../definition/words.ts";
import { ActiveSwitch } from "./active-switch.tsx";
import type { Schedule } from "./schedule.ts";

const STATES = ["active", "paused"] as const;
const PAGE = 50;
const TYPING_MS = 250;
/** Events tell when one fires; of one that somebody else has changed none does. */
const EVERY_MS = 30_000;
/** Of the next times. */
const SHOWN = 3;

export function SchedulesPage() {
  const { t } = useTranslation(["schedules", "definition"]);
  const { search, state } = useSearch({ from: "/shell/schedules" });
  const known = STATES.find((one) => one === state);
  const asked = { ...(search ? { search } : {}), ...(known ? { is_active: known === "active" } : {}) };
  const query = useInfiniteQuery({
    queryKey: ["schedules", "list", asked],
    queryFn: ({ pageParam }) =>
      take(
        hub.GET("/api/v1/schedules", { params: { query: { ...asked, ...(pageParam === "" ? {} : { cursor: pageParam }), limit: PAGE } } }),
      ),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
    refetchInterval: EVERY_MS,
  });
  const schedules = query.data?.pages.flatMap(({ data }) => data);
  const isFiltered = Object.keys(asked).length > 0;
  return (
    <Page title={t("title")} about={t("about")} actions={<NewButton />}>
      <Filters />
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {schedules?.length === 0 && (
        <Empty title={t(isFiltered ? "no_match" : "empty")} action={isFiltered ? undefined : <NewButton />}>
          {t(isFiltered ? "no_match_about" : "empty_about")}
        </Empty>
      )}
      {schedules && schedules.length > 0 && (
        <Stack>
          <ScheduleTable schedules={schedules} />
          <Group justify="space-between">
            <Text size="sm" c="dimmed" role="status">
              {t("count", { count: schedules.length })}
            </Text>
            {query.hasNextPage && (
              <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                {t("shell:more")}
              </Button>
            )}
          </Group>
        </Stack>
      )}
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
  const { search, state } = useSearch({ from: "/shell/schedules" });
  const navigate = useNavigate({ from: "/schedules" });
  const set = (change: Record<string, string | undefined>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const type = useDebouncedCallback((text: string) => set({ search: text === "" ? undefined : text }), TYPING_MS);
  return (
    <Group align="flex-end">
      <TextInput
        label={t("shell:search")}
        placeholder={t("name")}
        leftSection={<Search size={16} aria-hidden />}
        defaultValue={search ?? ""}
        onChange={({ currentTarget }) => type(currentTarget.value)}
        style={{ flex: "1 1 220px" }}
      />
      <Select
        label={t("state")}
        placeholder={t("all")}
        clearable
        clearButtonProps={{ "aria-label": t("all") }}
        data={STATES.map((value) => ({ value, label: t(value) }))}
        value={STATES.find((one) => one === state) ?? null}
        onChange={(value) => set({ state: value ?? undefined })}
      />
    </Group>
  );
}

function ScheduleTable({ schedules }: { readonly schedules: readonly Schedule[] }) {
  const { t } = useTranslation("schedules");
  const formats = useFormats();
  const words = useRecurrenceWords();
  return (
    <Table.ScrollContainer minWidth={640} type="native" role="region" aria-label={t("title")} tabIndex={0}>
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
    </Table.ScrollContainer>
  );
}
