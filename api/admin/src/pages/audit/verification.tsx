import { Alert, Button, Card, Group, List, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { ShieldAlert, ShieldCheck } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";

type Result = components["schemas"]["AuditVerification"];

/** It reads the whole audit: when somebody wants it to. */
export function Verification() {
  const { t } = useTranslation("audit");
  const verify = useMutation({ mutationFn: () => take(hub.GET("/api/v1/audit/verify")) });
  return (
    <Card withBorder>
      <Stack>
        <Group justify="space-between">
          <Title order={2} size="h4">
            {t("verify_title")}
          </Title>
          <Button loading={verify.isPending} onClick={() => verify.mutate()}>
            {t("verify")}
          </Button>
        </Group>
        <Text size="sm">{t("verify_about")}</Text>
        {verify.isError && <Failed error={verify.error} />}
        {verify.data && <Outcome result={verify.data} />}
      </Stack>
    </Card>
  );
}

function Outcome({ result: { intact, checked, waiting, chains } }: { readonly result: Result }) {
  const { t } = useTranslation("audit");
  const formats = useFormats();
  const Icon = intact ? ShieldCheck : ShieldAlert;
  return (
    <Alert color={intact ? "teal" : "red"} icon={<Icon aria-hidden />} title={t(intact ? "intact" : "broken")} role="status">
      <Text size="sm">{t("checked", { number: formats.number(checked) })}</Text>
      {waiting > 0 && <Text size="sm">{t("waiting", { number: formats.number(waiting) })}</Text>}
      <List size="sm">
        {chains.flatMap(({ organization_id: organization, fault }) =>
          fault ? (
            <List.Item key={organization}>
              {t("fault", { kind: t(`faults.${fault.kind}`), seq: formats.number(fault.seq), reason: fault.reason })}
            </List.Item>
          ) : (
            []
          ),
        )}
      </List>
    </Alert>
  );
}
