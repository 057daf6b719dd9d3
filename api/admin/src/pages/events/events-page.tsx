import { Anchor, Button, Group, Stack, Switch, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { onLiveEvent } from "../../hub/live.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { Filters, useFilters } from "./filters.tsx";
import { subjectOf } from "./subject.ts";

type Event = components["schemas"]["Event"];
const PAGE = 50;
const TAIL_MS = 2_000;

export function EventsPage() {
  const { t } = useTranslation("events");
  const filters = useFilters();
  const { live } = useSearch({ from: "/shell/events" });
  const navigate = useNavigate({ from: "/events" });
  const isLive = live !== "no";
  const query = useEvents(filters.asked, isLive);
  const events = query.data?.pages.flatMap(({ data }) => data);
  return (
    <Page
      title={t("title")}
      actions={
        <Switch
          label={t("live")}
          checked={isLive}
          onChange={() => void navigate({ search: (before) => ({ ...before, live: isLive ? "no" : undefined }), replace: true })}
        />
      }
    >
      <Filters {...filters} />
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {events?.length === 0 && <Empty title={t("empty")}>{t("empty_about")}</Empty>}
      {events && events.length > 0 && (
        <Stack>
          <EventTable events={events} />
          {query.hasNextPage && (
            <Group justify="flex-end">
              <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                {t("shell:more")}
              </Button>
            </Group>
          )}
        </Stack>
      )}
    </Page>
  );
}

function useEvents(asked: ReturnType<typeof useFilters>["asked"], isLive: boolean) {
  // What the hub tells at once does not wait for the next look.
  useEffect(() => (isLive ? onLiveEvent(() => void queries.invalidateQueries({ queryKey: ["events", "list"] })) : undefined), [isLive]);
  return useInfiniteQuery({
    queryKey: ["events", "list", asked],
    queryFn: ({ pageParam, signal }) =>
      take(
        hub.GET("/api/v1/events", {
          signal,
          params: { query: { ...asked, ...(pageParam === "" ? {} : { cursor: pageParam }), limit: PAGE } },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
    // Whoever has gone back in time looks there: all pages anew would be many.
    refetchInterval: ({ state }) => (isLive && (state.data?.pages.length ?? 0) <= 1 ? TAIL_MS : false),
  });
}

function EventTable({ events }: { readonly events: readonly Event[] }) {
  const { t } = useTranslation("events");
  const formats = useFormats();
  return (
    <WideTable minWidth={760} label={t("title")}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("when")}</Table.Th>
            <Table.Th>{t("type")}</Table.Th>
            <Table.Th>{t("about")}</Table.Th>
            <Table.Th>{t("by")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {events.map((event) => (
            <Table.Tr key={event.id}>
              <Table.Td>{formats.dateTime(event.timestamp)}</Table.Td>
              <Table.Td>
                <Anchor component={Link} to="/events/$id" params={{ id: event.id } as never}>
                  {event.type}
                </Anchor>
              </Table.Td>
              <Table.Td style={{ overflowWrap: "anywhere" }}>
                <Text size="sm">{subjectOf(event)}</Text>
              </Table.Td>
              <Table.Td>{event.actor.kind}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
