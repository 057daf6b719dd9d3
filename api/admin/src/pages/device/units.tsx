import { Button, Card, Checkbox, Group, Modal, NumberInput, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { sensorsOf } from "../../hub/sensors.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Device = components["schemas"]["Device"];
type Sensor = components["schemas"]["Sensor"];

/** What its sensors are called and measure in: the device's word, unless somebody has said something else. */
export function Units({ device: { id, uid } }: { readonly device: Pick<Device, "id" | "uid"> }) {
  const { t } = useTranslation("device");
  const { may } = useRights();
  const query = useQuery(sensorsOf(uid));
  const [edited, setEdited] = useState<Sensor | undefined>();
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("units")}
      </Title>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Text c="dimmed" size="sm">
              {t("no_sensors")}
            </Text>
          ) : (
            <SensorTable sensors={data} onEdit={may("device.manage", id) ? setEdited : undefined} />
          )
        }
      </Asked>
      {edited && <Edit key={edited.key} uid={uid} sensor={edited} onClose={() => setEdited(undefined)} />}
    </Card>
  );
}

interface SensorTableProps {
  readonly sensors: readonly Sensor[];
  /** undefined for whoever may not. */
  readonly onEdit: ((sensor: Sensor) => void) | undefined;
}

function SensorTable({ sensors, onEdit }: SensorTableProps) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  return (
    <WideTable minWidth={480} label={t("units")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {["key", "name", "unit", "value", "change"].map((head) => (
              <Table.Th key={head}>{t(head)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {sensors.map((sensor) => (
            <Table.Tr key={sensor.key}>
              <Table.Td>{sensor.key}</Table.Td>
              <Table.Td>{sensor.name}</Table.Td>
              <Table.Td>{sensor.unit_of_measurement}</Table.Td>
              <Table.Td>
                {typeof sensor.value === "number"
                  ? formats.number(sensor.value, sensor.display_precision ?? 2)
                  : sensor.value === null
                    ? ""
                    : String(sensor.value)}
              </Table.Td>
              <Table.Td>
                {onEdit && (
                  <Button
                    size="compact-xs"
                    variant="default"
                    aria-label={t("change_what", { what: sensor.key })}
                    onClick={() => onEdit(sensor)}
                  >
                    {t("change")}
                  </Button>
                )}{" "}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

/** An empty field leaves it to the device. */
function Edit({ uid, sensor, onClose }: { readonly uid: string; readonly sensor: Sensor; readonly onClose: () => void }) {
  const { t } = useTranslation("device");
  const [name, setName] = useState(sensor.name ?? "");
  const [unit, setUnit] = useState(sensor.unit_of_measurement ?? "");
  const [precision, setPrecision] = useState<number | undefined>(sensor.display_precision ?? undefined);
  const [isHidden, setHidden] = useState(sensor.hidden);
  const path = { id: uid, key: sensor.key };
  // What somebody else says of it meanwhile is not overwritten.
  const version = useQuery({
    queryKey: ["sensor-version", uid, sensor.key],
    queryFn: async () => {
      const asked = hub.GET("/api/v1/devices/{id}/sensors/{key}", { params: { path } });
      await take(asked);
      return (await asked).response.headers.get("etag") ?? "*";
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const saving = useMutation({
    mutationFn: () =>
      take(
        hub.PATCH("/api/v1/devices/{id}/sensors/{key}", {
          params: { path, header: { "if-match": version.data ?? "*" } },
          body: { name: name || null, unit_of_measurement: unit || null, display_precision: precision ?? null, hidden: isHidden },
        }),
      ),
    onSuccess: onClose,
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices", "one", uid, "sensors"] }),
  });
  return (
    <Modal opened onClose={onClose} title={t("change_what", { what: sensor.key })} closeButtonProps={{ "aria-label": t("shell:close") }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          saving.mutate();
        }}
      >
        <Stack>
          <TextInput label={t("name")} value={name} onChange={({ currentTarget }) => setName(currentTarget.value)} data-autofocus />
          <TextInput label={t("unit")} value={unit} onChange={({ currentTarget }) => setUnit(currentTarget.value)} />
          <NumberInput
            label={t("precision")}
            min={0}
            max={6}
            value={precision ?? ""}
            onChange={(value) => setPrecision(value === "" ? undefined : Number(value))}
          />
          <Checkbox label={t("hidden")} checked={isHidden} onChange={({ currentTarget }) => setHidden(currentTarget.checked)} />
          {saving.isError && <Failed error={saving.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={saving.isPending || version.isPending}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
