import { Button, Card, Select, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Failed } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { Claim } from "./claim.tsx";
import { Credentials } from "./credentials.tsx";

const CLASSES = ["relay_controller", "ir_hub", "sensor_hub", "hybrid"] as const;

export function AddDevicePage() {
  const { t } = useTranslation("add-device");
  const form = useForm<{ name: string; device_class: (typeof CLASSES)[number] }>({
    initialValues: { name: "", device_class: "sensor_hub" },
  });
  const enrol = useMutation({
    mutationFn: (body: typeof form.values) => take(hub.POST("/api/v1/devices", { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
  const again = (): void => {
    enrol.reset();
    form.reset();
  };
  return (
    <Page title={t("title")} about={t("about")}>
      {enrol.data ? (
        <Credentials enrolled={enrol.data} onAgain={again} />
      ) : (
        <>
          <Card withBorder maw={480}>
            <form onSubmit={form.onSubmit((values) => enrol.mutate(values))}>
              <Stack>
                {enrol.isError && <Failed error={enrol.error} />}
                <TextInput label={t("name")} placeholder={t("name_example")} required maxLength={120} {...form.getInputProps("name")} />
                <Select
                  label={t("class")}
                  required
                  allowDeselect={false}
                  data={CLASSES.map((value) => ({ value, label: t(`shell:device_class.${value}`) }))}
                  {...form.getInputProps("device_class")}
                />
                <Button type="submit" loading={enrol.isPending}>
                  {t("create")}
                </Button>
              </Stack>
            </form>
          </Card>
          <Claim />
        </>
      )}
    </Page>
  );
}
