import { Alert, Card, Code, List, Stack, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Page } from "../../parts/page.tsx";
import { BridgeCard, useBridge } from "./bridge.tsx";
import { OauthClients } from "./oauth-clients.tsx";

export function AlexaPage() {
  const { t } = useTranslation("smart-homes");
  const query = useBridge("alexa");
  return (
    <Page title={t("alexa.title")} about={t("alexa.about")}>
      <Stack>
        <Asked query={query}>{(bridge) => <BridgeCard bridge={bridge} />}</Asked>
        <Allowed need="organization.manage">
          <OauthClients />
        </Allowed>
        <Steps />
      </Stack>
    </Page>
  );
}

function Steps() {
  const { t } = useTranslation("smart-homes");
  const isOpen = location.protocol === "https:";
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("alexa.steps")}
        </Title>
        {!isOpen && (
          <Alert color="yellow">
            {t("alexa.https")} <Code>HEXA_PUBLIC_URL=https://…</Code>
          </Alert>
        )}
        <List type="ordered" size="sm" spacing="xs" style={{ overflowWrap: "anywhere" }}>
          {["skill", "lambda", "endpoint", "events", "linking", "enable"].map((step) => (
            <List.Item key={step}>{t(`alexa.step.${step}`)}</List.Item>
          ))}
        </List>
        <Copied label={t("alexa.authorize")} value={`${location.origin}/oauth/authorize`} />
        <Copied label={t("alexa.token")} value={`${location.origin}/oauth/token`} />
      </Stack>
    </Card>
  );
}
