import { Alert, Button, Card, Checkbox, Select, Stack, Textarea, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { mqtt } from "../../hub/mqtt.ts";
import { Failed } from "../../parts/failed.tsx";
import { useReasonWords, worded } from "./reasons.ts";

const LEVELS = ["1", "0"];

/** What the hub refuses is said with QoS 1; with QoS 0 nobody hears of it. */
export function Publish({ topic, isOpen }: { readonly topic: string; readonly isOpen: boolean }) {
  const { t } = useTranslation("mqtt");
  const words = useReasonWords();
  const form = useForm({
    initialValues: { topic, payload: "", qos: "1", retain: false },
    validate: { topic: (value) => (/[+#]/.test(value) ? t("no_wildcards") : null) },
  });
  const publish = useMutation({
    mutationFn: ({ qos, ...rest }: typeof form.values) => mqtt.publish({ ...rest, qos: qos === "1" ? 1 : 0 }),
  });
  return (
    <Card withBorder>
      <form onSubmit={form.onSubmit((values) => publish.mutate(values))}>
        <Stack gap="sm">
          <Title order={2} size="h4">
            {t("publish")}
          </Title>
          <TextInput label={t("topic")} required {...form.getInputProps("topic")} />
          <Textarea
            label={t("payload")}
            description={t("payload_about")}
            autosize
            minRows={2}
            maxRows={10}
            {...form.getInputProps("payload")}
          />
          <Select
            label={t("qos")}
            data={LEVELS.map((value) => ({ value, label: t(`qos_${value}`) }))}
            allowDeselect={false}
            {...form.getInputProps("qos")}
          />
          <Checkbox label={t("retain")} {...form.getInputProps("retain", { type: "checkbox" })} />
          {publish.isError && <Failed error={worded(publish.error, words)} />}
          {publish.isSuccess && (
            <Alert color="teal" variant="outline" role="status">
              {t(publish.variables.qos === "1" ? "published" : "sent")}
            </Alert>
          )}
          <Button type="submit" loading={publish.isPending} disabled={!isOpen} style={{ alignSelf: "flex-start" }}>
            {t("publish_now")}
          </Button>
        </Stack>
      </form>
    </Card>
  );
}
