import { Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { startLive } from "../../hub/live.ts";
import { LineChart } from "../../parts/line-chart.tsx";
import { LinkButton } from "../../parts/link-button.tsx";
import { useLiveLine } from "../../parts/live-line.ts";
import { Waiting } from "../../parts/waiting.tsx";

const EVERY_MS = 1_000;

/** That it works, to be seen: a chart that moves. */
export function SetupDone({ hasDemo }: { readonly hasDemo: boolean }) {
  const { t } = useTranslation("setup");
  useEffect(() => startLive(), []);
  return (
    <Stack>
      <Text fw={600}>{t("done")}</Text>
      <Text size="sm">{t(hasDemo ? "demo_running" : "no_demo")}</Text>
      {hasDemo && <DemoChart />}
      <Group>
        <LinkButton to="/dashboard">{t("to_overview")}</LinkButton>
        <LinkButton to="/devices/new" variant="default">
          {t("add_device")}
        </LinkButton>
        {hasDemo && (
          <LinkButton to="/automations/new" variant="default">
            {t("automate")}
          </LinkButton>
        )}
      </Group>
    </Stack>
  );
}

function DemoChart() {
  const { t } = useTranslation("setup");
  const latest = useQuery({
    queryKey: ["readings", "latest", "power"],
    queryFn: () => take(hub.GET("/api/v1/readings/latest", { params: { query: { key: "power", limit: 1 } } })),
    refetchInterval: ({ state }) => ((state.data?.data.length ?? 0) > 0 ? false : EVERY_MS),
  });
  const line = useLiveLine(latest.data?.data[0], 1);
  return line ? <LineChart lines={[line]} label={t("chart")} /> : <Waiting />;
}
