import { Card, Stack, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Refusals } from "../add-device/refusals.tsx";
import { Certificate } from "./certificate.tsx";
import { Credentials } from "./credentials.tsx";
import { Rights } from "./rights.tsx";

type Device = components["schemas"]["Device"];

/** How it logs in, who may do what with it, and why it was refused. */
export function Access({ device }: { readonly device: Device }) {
  const { t } = useTranslation("device");
  return (
    <Stack>
      <Credentials device={device} />
      <Allowed need="member.manage">
        <Rights device={device} />
      </Allowed>
      <Allowed need="audit.read">
        <Card withBorder>
          <Title order={2} size="h4" mb="sm">
            {t("refusals")}
          </Title>
          <Refusals deviceId={device.id} none={t("no_refusals")} />
        </Card>
      </Allowed>
      <Allowed need="device.manage" on={device.id}>
        <Certificate uid={device.uid} />
      </Allowed>
    </Stack>
  );
}
