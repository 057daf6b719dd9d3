import { Anchor, Button, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Search } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { PresenceBadge } from "../../parts/presence.tsx";
import { Waiting } from "../../parts/waiting.tsx";

type Device = components["schemas"]["Device"];
const PRESENCES = ["online", "stale", "offline"] as const;
const CLASSES = ["relay_controller", "ir_hub", "sensor_hub", "hybrid"] as const;
const PAGE = 100;
const TYPING_MS = 250;

export function DevicesPage() {
  const { t } = useTranslation("devices");
  const filters = useFilters();
  const query = useInfiniteQuery({
    queryKey: ["devices", "list", filters.asked],
    queryFn: ({ pageParam }) =>
      take(
        hub.GET("/api/v1/devices", {
          params: { query: { ...filters.asked, ...(pageParam === "" ? {} : { cursor: pageParam }), limit: PAGE } },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: ({ next_cursor: cursor }) => cursor,
  });
  const devices = query.data?.pages.flatMap(({ data }) => data);
  return (
    <Page
      title={t("title")}
      actions={
        <LinkButton to="/devices/new" leftSection={<Plus size={16} aria-hidden />}>
          {t("add")}
        </LinkButton>
      }
    >
      <Filters {...filters} />
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {devices?.length === 0 && <Empty title={t("empty")}>{t("empty_about")}</Empty>}
      {devices && devices.length > 0 && (
        <Stack>
          <DeviceTable devices={devices} />
          <Group justify="space-between">
            <Text size="sm" c="dimmed" role="status">
              {t("count", { count: devices.length })}
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

interface FilterState {
  readonly asked: { search?: string; status?: (typeof PRESENCES)[number]; device_class?: (typeof CLASSES)[number] };
  readonly set: (change: Record<string, string | undefined>) => void;
}

/** In the URL: a page that is sent to somebody shows the same. */
function useFilters(): FilterState {
  const { search, status, device_class: deviceClass } = useSearch({ from: "/shell/devices" });
  const navigate = useNavigate({ from: "/devices" });
  const presence = PRESENCES.find((one) => one === status);
  const kind = CLASSES.find((one) => one === deviceClass);
  return {
    asked: { ...(search ? { search } : {}), ...(presence ? { status: presence } : {}), ...(kind ? { device_class: kind } : {}) },
    set: (change) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true }),
  };
}

function Filters({ asked, set }: FilterState) {
  const { t } = useTranslation("devices");
  const type = useDebouncedCallback((text: string) => set({ search: text === "" ? undefined : text }), TYPING_MS);
  return (
    <Group align="flex-end">
      <TextInput
        label={t("shell:search")}
        placeholder={t("search")}
        leftSection={<Search size={16} aria-hidden />}
        defaultValue={asked.search ?? ""}
        onChange={({ currentTarget }) => type(currentTarget.value)}
        style={{ flex: "1 1 220px" }}
      />
      <Select
        label={t("status")}
        placeholder={t("all")}
        clearable
        clearButtonProps={{ "aria-label": t("all") }}
        data={PRESENCES.map((value) => ({ value, label: t(`shell:presence.${value}`) }))}
        value={asked.status ?? null}
        onChange={(value) => set({ status: value ?? undefined })}
      />
      <Select
        label={t("class")}
        placeholder={t("all")}
        clearable
        clearButtonProps={{ "aria-label": t("all") }}
        data={CLASSES.map((value) => ({ value, label: t(`shell:device_class.${value}`) }))}
        value={asked.device_class ?? null}
        onChange={(value) => set({ device_class: value ?? undefined })}
      />
    </Group>
  );
}

function DeviceTable({ devices }: { readonly devices: readonly Device[] }) {
  const { t } = useTranslation("devices");
  const formats = useFormats();
  return (
    <Table.ScrollContainer minWidth={520} type="native" role="region" aria-label={t("table")} tabIndex={0}>
      <Table highlightOnHover stickyHeader>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("status")}</Table.Th>
            <Table.Th>{t("class")}</Table.Th>
            <Table.Th>{t("seen")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {devices.map((device) => (
            <Table.Tr key={device.id} style={{ contentVisibility: "auto" }}>
              <Table.Td>
                <Anchor component={Link} to="/devices/$id" params={{ id: device.uid } as never}>
                  {device.name}
                </Anchor>
              </Table.Td>
              <Table.Td>
                <PresenceBadge presence={device.connection_status} />
              </Table.Td>
              <Table.Td>{t(`shell:device_class.${device.device_class}`)}</Table.Td>
              <Table.Td>{device.last_seen_at ? formats.ago(device.last_seen_at) : ""}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
