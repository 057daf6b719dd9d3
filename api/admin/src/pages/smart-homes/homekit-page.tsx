import { Badge, Card, Code, Group, List, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { Copied } from "../../parts/copied.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Page } from "../../parts/page.tsx";
import { QrCode } from "../../parts/qr-code.tsx";
import { BridgeCard, useBridge } from "./bridge.tsx";

type Pairing = components["schemas"]["HomekitPairing"];
const EVERY_MS = 5_000;
/** Names of settings are long words. */
const ANYWHERE = { overflowWrap: "anywhere" } as const;

export function HomekitPage() {
  const { t } = useTranslation("smart-homes");
  const query = useBridge("homekit");
  return (
    <Page title={t("homekit.title")} about={t("homekit.about")}>
      <Asked query={query}>
        {(bridge) =>
          bridge.status === "off" ? (
            <Empty title={t("homekit.off")} action={<Code>HEXA_HOMEKIT=on</Code>}>
              <span style={ANYWHERE}>{t("homekit.off_about")}</span>
            </Empty>
          ) : (
            <Stack>
              <BridgeCard bridge={bridge} />
              {bridge.details["mode"] === "external" ? (
                <Text size="sm" style={ANYWHERE}>
                  {t("homekit.external")}
                </Text>
              ) : (
                <Pairings />
              )}
            </Stack>
          )
        }
      </Asked>
    </Page>
  );
}

function Pairings() {
  const { t } = useTranslation("smart-homes");
  const query = useQuery({
    queryKey: ["bridges", "homekit", "pairings"],
    queryFn: () => take(hub.GET("/api/v1/bridges/homekit/pairings")),
    refetchInterval: EVERY_MS,
  });
  return (
    <Asked query={query}>
      {({ data }) =>
        data.length === 0 ? (
          <Empty title={t("homekit.none")}>
            <span style={ANYWHERE}>{t("homekit.none_about")}</span>
          </Empty>
        ) : (
          data.map((pairing) => <PairingCard key={pairing.bridge} pairing={pairing} />)
        )
      }
    </Asked>
  );
}

/** As it stands on the boxes of accessories. */
function PairingCard({ pairing: { name, pin, setup_uri: uri, port, username, paired } }: { readonly pairing: Pairing }) {
  const { t } = useTranslation("smart-homes");
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h4">
            {name}
          </Title>
          <Badge variant="dot" color={paired ? "teal" : "gray"}>
            {t(paired ? "homekit.paired" : "homekit.unpaired")}
          </Badge>
        </Group>
        <Group align="flex-start" gap="xl">
          {!paired && <QrCode value={uri} />}
          <Stack gap="xs" style={{ flex: "1 1 240px" }}>
            <Copied label={t("homekit.pin")} value={pin} />
            <Copied label={t("homekit.id")} value={username} />
            <Copied label={t("homekit.port")} value={String(port)} />
            <List type="ordered" size="sm" style={ANYWHERE}>
              <List.Item>{t("homekit.step_network")}</List.Item>
              <List.Item>{t("homekit.step_add")}</List.Item>
              <List.Item>{t("homekit.step_scan")}</List.Item>
            </List>
          </Stack>
        </Group>
      </Stack>
    </Card>
  );
}
