import { Button, Group, Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { sensorsOf } from "../../hub/sensors.ts";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { MOST_SERIES, nameOf, type Series } from "./view.ts";

interface SeriesPickerProps {
  readonly series: readonly Series[];
  readonly names: readonly string[];
  readonly onChange: (series: readonly Series[]) => void;
}

/** A device, then what it measures; what is chosen can be taken away again. */
export function SeriesPicker({ series, names, onChange }: SeriesPickerProps) {
  const { t } = useTranslation("readings");
  const [uid, setUid] = useState<string | undefined>();
  const sensors = useQuery({ ...sensorsOf(uid ?? ""), enabled: uid !== undefined });
  const isFull = series.length >= MOST_SERIES;
  const left = (sensors.data?.data ?? []).filter(({ key }) => !series.some((one) => one.uid === uid && one.key === key));
  return (
    <>
      <Group align="flex-end">
        <DeviceSelect label={t("device")} placeholder={t("search")} value={uid} onChange={(device) => setUid(device?.uid)} />
        <Select
          label={t("sensor")}
          placeholder={t(uid === undefined ? "device_first" : "choose")}
          disabled={uid === undefined || isFull}
          data={left.map(({ key, name }) => ({ value: key, label: name ?? key }))}
          nothingFoundMessage={t("no_sensors")}
          description={isFull ? t("full", { count: MOST_SERIES }) : undefined}
          searchable
          value={null}
          onChange={(key) => uid !== undefined && key !== null && onChange([...series, { uid, key }])}
        />
      </Group>
      {series.length > 0 && (
        <Group gap="xs" component="ul" p={0} m={0} style={{ listStyle: "none" }} aria-label={t("chosen")}>
          {series.map((one, index) => (
            <li key={nameOf(one)} style={{ maxWidth: "100%" }}>
              <Button
                size="xs"
                maw="100%"
                variant="default"
                rightSection={<X size={14} aria-hidden />}
                aria-label={t("without", { what: names[index] })}
                onClick={() => onChange(series.filter((other) => other !== one))}
              >
                {names[index]}
              </Button>
            </li>
          ))}
        </Group>
      )}
    </>
  );
}
