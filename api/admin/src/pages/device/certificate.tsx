import { Button, Card, Group, NumberInput, Stack, Text, Textarea, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Copied } from "../../parts/copied.tsx";
import { Failed } from "../../parts/failed.tsx";

const DAYS = 365;

/** The device keeps its key; what it asks for with it is pasted here. */
export function Certificate({ uid }: { readonly uid: string }) {
  const { t } = useTranslation("device");
  const formats = useFormats();
  const [csr, setCsr] = useState("");
  const [days, setDays] = useState(DAYS);
  const issuing = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/devices/{id}/certificates", { params: { path: { id: uid } }, body: { csr, days } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["devices", "one", uid, "credentials"] }),
  });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("certificate")}
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          issuing.mutate();
        }}
      >
        <Stack>
          <Text size="sm">{t("certificate_about")}</Text>
          <Textarea
            label={t("csr")}
            placeholder="-----BEGIN CERTIFICATE REQUEST-----"
            required
            autosize
            minRows={3}
            maxRows={10}
            value={csr}
            onChange={({ currentTarget }) => setCsr(currentTarget.value)}
          />
          <NumberInput label={t("days")} min={1} maw={160} value={days} onChange={(value) => setDays(Number(value) || DAYS)} />
          {issuing.isError && <Failed error={issuing.error} />}
          <Group>
            <Button type="submit" loading={issuing.isPending} disabled={csr.trim() === ""}>
              {t("issue")}
            </Button>
          </Group>
          {issuing.data && (
            <Stack gap="xs" role="status">
              <Text size="sm">{t("issued", { until: formats.dateTime(issuing.data.expires_at) })}</Text>
              <Copied label={t("certificate")} value={issuing.data.certificate} />
              <Copied label={t("ca")} value={issuing.data.ca} />
            </Stack>
          )}
        </Stack>
      </form>
    </Card>
  );
}
