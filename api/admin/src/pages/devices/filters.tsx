import { SimpleGrid } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { Choice } from "../../parts/choice.tsx";
import { TypedFilter } from "../../parts/typed-filter.tsx";
import { oneOf, useUrlFilters } from "../../parts/url-filters.ts";
import { rooms } from "../../hub/rooms.ts";

const PRESENCES = ["online", "stale", "offline"] as const;
const CLASSES = ["relay_controller", "ir_hub", "sensor_hub", "hybrid"] as const;
const MOST_SITES = 200;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface Asked {
  readonly search?: string;
  readonly status?: (typeof PRESENCES)[number];
  readonly device_class?: (typeof CLASSES)[number];
  readonly site_id?: string;
  readonly room_id?: string;
}

interface DeviceFilters {
  readonly asked: Asked;
  readonly set: (change: Record<string, string | undefined>) => void;
}

/** What somebody has typed into the URL and the hub would refuse is not asked for. */
export function useDeviceFilters(): DeviceFilters {
  const { filters, set } = useUrlFilters();
  const { search, site_id: site, room_id: room } = filters;
  const status = oneOf(PRESENCES, filters["status"]);
  const deviceClass = oneOf(CLASSES, filters["device_class"]);
  return {
    asked: {
      ...(search ? { search } : {}),
      ...(status ? { status } : {}),
      ...(deviceClass ? { device_class: deviceClass } : {}),
      ...(site && UUID.test(site) ? { site_id: site } : {}),
      ...(room && UUID.test(room) ? { room_id: room } : {}),
    },
    set,
  };
}

export function Filters({ asked, set }: DeviceFilters) {
  const { t } = useTranslation("devices");
  const sites = useQuery({
    queryKey: ["sites", "offered"],
    queryFn: () => take(hub.GET("/api/v1/sites", { params: { query: { limit: MOST_SITES } } })),
  });
  const offered = useQuery(rooms).data?.data.filter(({ site_id: site }) => asked.site_id === undefined || site === asked.site_id);
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} spacing="sm">
      <TypedFilter label={t("shell:search")} placeholder={t("search")} value={asked.search} onChange={(text) => set({ search: text })} />
      <Choice
        label={t("status")}
        values={PRESENCES.map((value) => ({ value, label: t(`shell:presence.${value}`) }))}
        value={asked.status}
        onChange={(status) => set({ status })}
      />
      <Choice
        label={t("class")}
        values={CLASSES.map((value) => ({ value, label: t(`shell:device_class.${value}`) }))}
        value={asked.device_class}
        onChange={(deviceClass) => set({ device_class: deviceClass })}
      />
      <Choice
        label={t("site")}
        values={(sites.data?.data ?? []).map(({ id: value, name: label }) => ({ value, label }))}
        value={asked.site_id}
        onChange={(site) => set({ site_id: site, room_id: "" })}
      />
      <Choice
        label={t("room")}
        values={(offered ?? []).map(({ id: value, name: label }) => ({ value, label }))}
        value={asked.room_id}
        onChange={(room) => set({ room_id: room })}
      />
    </SimpleGrid>
  );
}
