import { Card, List, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";

/** What it has said that it can do. */
export function Capabilities({ capabilities }: Pick<components["schemas"]["Device"], "capabilities">) {
  const { t } = useTranslation("device");
  const { relays = 0, lights = 0, inputs = 0, ir = false, tasks = false, sensors = [] } = capabilities;
  const counted = { relays, lights, inputs };
  const told = [
    ...(["relays", "lights", "inputs"] as const).flatMap((what) => (counted[what] > 0 ? [t(`can.${what}`, { count: counted[what] })] : [])),
    ...(ir ? [t("can.ir")] : []),
    ...(tasks ? [t("can.tasks")] : []),
    ...sensors.map(({ key, unit }) => t("can.sensor", { what: unit === undefined ? key : `${key} (${unit})` })),
  ];
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("capabilities")}
      </Title>
      {told.length === 0 ? (
        <Text c="dimmed" size="sm">
          {t("no_capabilities")}
        </Text>
      ) : (
        <List size="sm">
          {told.map((one) => (
            <List.Item key={one} style={{ overflowWrap: "anywhere" }}>
              {one}
            </List.Item>
          ))}
        </List>
      )}
    </Card>
  );
}
