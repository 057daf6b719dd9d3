import { Button, Card, Group, NumberInput, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";

type Device = components["schemas"]["Device"];
const RESTORES = ["last", "on", "off"] as const;
const LONGEST_S = 86_400;

/** What the device is told as its retained `down/config`; an empty field leaves it to the device. */
export function Configuration({ device: { uid, capabilities, settings } }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  const { relays = 0 } = capabilities;
  const form = useForm<{ names: string[]; restore: string | null; interval: string | number }>({
    initialValues: {
      names: Array.from({ length: relays }, (_, index) => settings.relay_names?.[index] ?? ""),
      restore: settings.power_restore ?? null,
      interval: settings.reading_interval_s ?? "",
    },
  });
  const saving = useMutation({
    mutationFn: ({ names, restore, interval }: typeof form.values) => {
      const said = {
        ...(relays > 0
          ? {
              relay_names: names.some((name) => name !== "") ? names : null,
              power_restore: RESTORES.find((one) => one === restore) ?? null,
            }
          : {}),
        reading_interval_s: interval === "" ? null : Number(interval),
      };
      return take(hub.PATCH("/api/v1/devices/{id}", { params: { path: { id: uid } }, body: { settings: said } }));
    },
    onSuccess: () => notifications.show({ message: t("saved") }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("configuration")}
      </Title>
      <form onSubmit={form.onSubmit((values) => saving.mutate(values))}>
        <Stack maw={480}>
          <Text size="sm">{t("configuration_about")}</Text>
          {form.values.names.map((_, index) => (
            <TextInput
              key={index}
              label={t("relay_name", { index })}
              placeholder={t("relay", { index })}
              maxLength={64}
              {...form.getInputProps(`names.${index}`)}
            />
          ))}
          {relays > 0 && (
            <Select
              label={t("restore")}
              placeholder={t("device_decides")}
              clearable
              clearButtonProps={{ "aria-label": t("device_decides") }}
              data={RESTORES.map((value) => ({ value, label: t(`restores.${value}`) }))}
              {...form.getInputProps("restore")}
            />
          )}
          <NumberInput
            label={t("interval")}
            placeholder={t("device_decides")}
            min={1}
            max={LONGEST_S}
            allowDecimal={false}
            {...form.getInputProps("interval")}
          />
          {saving.isError && <Failed error={saving.error} />}
          <Group>
            <Button type="submit" loading={saving.isPending} disabled={!form.isDirty()}>
              {t("save_configuration")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}
