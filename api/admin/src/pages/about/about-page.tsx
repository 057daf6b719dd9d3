import { Anchor, List, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { health } from "../../hub/health.ts";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";

const LINKS = [
  ["/docs", "docs"],
  ["/openapi.json", "openapi"],
  ["/ca.pem", "certificate"],
  ["/health", "health"],
] as const;

export function AboutPage() {
  const { t } = useTranslation("about");
  const query = useQuery(health);
  const formats = useFormats();
  return (
    <Page title={t("title")}>
      <Asked query={query}>
        {({ version, time }) => (
          <Table variant="vertical" withTableBorder w="auto">
            <Table.Tbody>
              <Table.Tr>
                <Table.Th>{t("version")}</Table.Th>
                <Table.Td>{version}</Table.Td>
              </Table.Tr>
              <Table.Tr>
                <Table.Th>{t("time")}</Table.Th>
                <Table.Td>{formats.dateTime(time)}</Table.Td>
              </Table.Tr>
            </Table.Tbody>
          </Table>
        )}
      </Asked>
      <Stack gap="xs">
        <List>
          {LINKS.map(([href, name]) => (
            <List.Item key={href}>
              <Anchor href={href}>{t(name)}</Anchor>
            </List.Item>
          ))}
        </List>
        <Text size="sm">{t("license")}</Text>
      </Stack>
    </Page>
  );
}
