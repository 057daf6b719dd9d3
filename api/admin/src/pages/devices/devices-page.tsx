import { Button, Group, Stack, Text } from "@mantine/core";
import { Plus } from "lucide-react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { useDeviceStates } from "../../hub/device-states.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { Page } from "../../parts/page.tsx";
import { usePages } from "../../parts/paged.tsx";
import { Waiting } from "../../parts/waiting.tsx";
import { BulkBar } from "./bulk-bar.tsx";
import { useChosen } from "./chosen.ts";
import { DeviceTable } from "./device-table.tsx";
import { type Asked, Filters, useDeviceFilters } from "./filters.tsx";

/** As many as the hub gives at once: the list is asked for anew whenever a device comes or goes. */
const PAGE = 200;

export function DevicesPage() {
  const { t } = useTranslation("devices");
  const filters = useDeviceFilters();
  return (
    <Page title={t("title")} actions={<AddButton />}>
      <Filters {...filters} />
      {/* What was chosen and is not shown any more is not chosen either. */}
      <DeviceList key={JSON.stringify(filters.asked)} asked={filters.asked} />
    </Page>
  );
}

function AddButton() {
  const { t } = useTranslation("devices");
  return (
    <LinkButton to="/devices/new" leftSection={<Plus size={16} aria-hidden />}>
      {t("add")}
    </LinkButton>
  );
}

function DeviceList({ asked }: { readonly asked: Asked }) {
  const { t } = useTranslation("devices");
  useDeviceStates();
  const query = usePages({
    queryKey: ["devices", "list", asked],
    ask: (cursor, signal) => take(hub.GET("/api/v1/devices", { params: { query: { ...asked, ...cursor, limit: PAGE } }, signal })),
  });
  const devices = useMemo(() => query.data?.pages.flatMap(({ data }) => data), [query.data]);
  const chosen = useChosen(devices);
  const isFiltered = Object.keys(asked).length > 0;
  const more = (): void => void query.fetchNextPage();
  return (
    <>
      {query.isError && <Failed error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <Waiting />}
      {/* It stays while it tells of those that are gone. */}
      <BulkBar chosen={chosen} />
      {devices?.length === 0 && (
        <Empty title={t(isFiltered ? "empty" : "none")} action={<AddButton />}>
          {t(isFiltered ? "empty_about" : "none_about")}
        </Empty>
      )}
      {devices && devices.length > 0 && (
        <Stack>
          <DeviceTable
            devices={devices}
            chosen={chosen}
            isAll={!query.hasNextPage}
            onNearEnd={() => {
              if (query.hasNextPage && !query.isFetching && !query.isError) more();
            }}
          />
          <Group justify="space-between">
            <Text size="sm" c="dimmed" role="status">
              {t("count", { count: devices.length })}
            </Text>
            {query.hasNextPage && (
              <Button variant="default" loading={query.isFetchingNextPage} onClick={more}>
                {t("shell:more")}
              </Button>
            )}
          </Group>
        </Stack>
      )}
    </>
  );
}
