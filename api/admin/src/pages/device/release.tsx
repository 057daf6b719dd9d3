import { Card, Stack, Text, Title } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Removal } from "../../parts/removal.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { LEAVING } from "./leaving.ts";

/** It leaves the organisation, for whoever gets its new claim code. */
export function Release({ device: { uid, name } }: { readonly device: components["schemas"]["Device"] }) {
  const { t } = useTranslation("device");
  const navigate = useNavigate();
  const showCode = (code: string): void => {
    const id = modals.open({
      title: t("released", { name }),
      closeButtonProps: { "aria-label": t("shell:close") },
      children: (
        <SecretOnce values={[[t("claim_code"), code]]} onDone={() => modals.close(id)}>
          {t("claim_code_about")}
        </SecretOnce>
      ),
    });
  };
  const release = async (): Promise<void> => {
    const { claim_code: code } = await take(hub.POST("/api/v1/devices/{id}/release", { params: { path: { id: uid } } }));
    showCode(code);
    await navigate({ to: "/devices" });
    queries.removeQueries({ queryKey: ["devices", "one", uid] });
    await queries.invalidateQueries({ queryKey: ["devices", "list"] });
  };
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("release")}
      </Title>
      <Stack align="flex-start">
        <Text size="sm">{t("release_about")}</Text>
        <Removal name={name} label={t("release")} mutationKey={LEAVING} remove={release}>
          {t("release_asks")}
        </Removal>
      </Stack>
    </Card>
  );
}
