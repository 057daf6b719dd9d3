import { Alert, Card, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Copied } from "../../parts/copied.tsx";
import { QrCode } from "../../parts/qr-code.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { FirstMessage } from "./first-message.tsx";
import { type Enrolled, isLoopback, type Place, placeOf } from "./place.ts";
import { arduino, esphome, publishLine, tasmota } from "./snippets.ts";

export function Credentials({ enrolled, onAgain }: { readonly enrolled: Enrolled; readonly onAgain: () => void }) {
  const { t } = useTranslation("add-device");
  const { device_uid: uid, device_token: token, mqtts_url: tls, mqtt_url: plain } = enrolled;
  const place = placeOf(enrolled);
  return (
    <Stack>
      <FirstMessage uid={uid} onAgain={onAgain} />
      <Card withBorder>
        <Stack>
          <Alert color="yellow">{t("shown_once")}</Alert>
          <Group align="flex-start" gap="xl">
            <Stack gap="xs" style={{ flex: "1 1 320px" }} miw={0}>
              <Copied label={t("uid")} value={uid} />
              <Copied label={t("token")} value={token} />
              {tls !== null && <Copied label={t("url")} value={tls} />}
              {plain !== null && <Copied label={t("plain_url")} value={plain} />}
              <Copied label={t("topics")} value={enrolled.topics.up["telemetry"] ?? ""} />
            </Stack>
            <QrCode value={JSON.stringify({ uid, token, url: tls ?? plain })} />
          </Group>
        </Stack>
      </Card>
      {place ? <Ways enrolled={enrolled} place={place} /> : <Alert color="yellow">{t("no_mqtt")}</Alert>}
    </Stack>
  );
}

/** How it is made to speak. */
function Ways({ enrolled, place }: { readonly enrolled: Enrolled; readonly place: Place }) {
  const { t } = useTranslation("add-device");
  const [shown, setShown] = useState<string>();
  const { origin } = location;
  const { data: ca } = useQuery({ queryKey: ["ca"], queryFn: fetchCa, enabled: place.isTls, staleTime: Number.POSITIVE_INFINITY });
  const filling = { enrolled, place, origin, ca: place.isTls ? (ca ?? t("ca_missing")) : undefined };
  const views = [
    { name: "shell", about: t("try_about"), text: publishLine(filling) },
    { name: "esphome", about: t("esphome_about"), text: esphome(filling) },
    { name: "tasmota", about: t("tasmota_about"), text: tasmota(filling) },
    { name: "arduino", about: t("arduino_about"), text: arduino(filling) },
  ];
  return (
    <Card withBorder>
      <Stack gap="xs">
        <Title order={2} size="h4">
          {t("try")}
        </Title>
        {isLoopback(place.host) && <Alert color="yellow">{t("loopback", { host: place.host })}</Alert>}
        <TabViews
          shown={shown}
          onShow={setShown}
          views={views.map(({ name, about, text }) => ({
            name,
            label: t(`ways.${name}`),
            content: (
              <Stack gap="xs">
                <Text size="sm">{about}</Text>
                <Copied label={t(`ways.${name}`)} value={text} isBlock />
              </Stack>
            ),
          }))}
        />
      </Stack>
    </Card>
  );
}

/** What the hub's certificate is checked with. */
async function fetchCa(): Promise<string> {
  const answer = await fetch("/ca.pem");
  if (!answer.ok) throw new Error(`the hub answered ${answer.status}`);
  return answer.text();
}
