import { Badge, Button, Card, List, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import type { components } from "../../hub/schema.d.ts";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import type { Node } from "../definition/nodes.ts";
import { Values } from "../definition/runs.tsx";
import { useNodeWords } from "../definition/words.ts";
import type { Automation } from "./automation.ts";
import { tryOut } from "./try-out.ts";

type Result = components["schemas"]["AutomationTrial"]["results"][number];

export function Trial({ automation }: { readonly automation: Automation }) {
  const { t } = useTranslation("automations");
  const trial = useMutation({ mutationFn: () => tryOut(automation) });
  return (
    <Stack>
      <Card withBorder>
        <Stack gap="sm" align="flex-start">
          <Title order={2} size="h4">
            {t("test.title")}
          </Title>
          <Text size="sm">{t("test.about")}</Text>
          <Button leftSection={<FlaskConical size={16} aria-hidden />} loading={trial.isPending} onClick={() => trial.mutate()}>
            {t("test.do")}
          </Button>
        </Stack>
      </Card>
      {trial.isError && <Failed error={trial.error} />}
      {trial.data && (
        <>
          <Text role="status">{t("test.result", { signals: trial.data.signals, fired: trial.data.fired })}</Text>
          {trial.data.results.length === 0 ? (
            <Empty title={t("test.none")}>{t("test.none_about")}</Empty>
          ) : (
            <Results automation={automation} results={trial.data.results} />
          )}
        </>
      )}
    </Stack>
  );
}

function Results({ automation, results }: { readonly automation: Automation; readonly results: readonly Result[] }) {
  const { t } = useTranslation("automations");
  const formats = useFormats();
  const words = useNodeWords();
  const triggers = automation.triggers as readonly unknown[] as readonly Node[];
  return (
    <WideTable minWidth={640} label={t("test.title")}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("test.when")}</Table.Th>
            <Table.Th>{t("set_off_by")}</Table.Th>
            <Table.Th>{t("test.outcome")}</Table.Th>
            <Table.Th>{t("test.findings")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {results.map((result) => {
            const trigger = triggers[result.trigger];
            return (
              <Table.Tr key={`${result.at} ${result.trigger} ${JSON.stringify(result.values)}`}>
                <Table.Td>{formats.dateTime(result.at)}</Table.Td>
                <Table.Td>
                  <Text size="sm">{trigger ? words("trigger", trigger) : result.trigger}</Text>
                  <Values values={result.values} />
                </Table.Td>
                <Table.Td>
                  <Badge variant="dot" color={result.fires ? "teal" : "gray"}>
                    {result.fires ? t("test.fires") : t(`test.reasons.${result.reason}`, { defaultValue: String(result.reason) })}
                  </Badge>
                </Table.Td>
                <Table.Td>
                  <Findings automation={automation} result={result} />
                </Table.Td>
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Findings({ automation, result: { findings } }: { readonly automation: Automation; readonly result: Result }) {
  const { t } = useTranslation("automations");
  const words = useNodeWords();
  return (
    <List size="xs">
      {findings.map(({ path, met, value }) => {
        const condition = nodeAt(automation, path);
        return (
          <List.Item key={path}>
            {condition ? words("condition", condition) : path}: {typeof value === "string" ? value : JSON.stringify(value)} (
            {t(met ? "test.met" : "test.not_met")})
          </List.Item>
        );
      })}
    </List>
  );
}

/** What the path of a finding names. */
function nodeAt(automation: Automation, path: string): Node | undefined {
  const names = path.split("/").slice(1);
  return names.reduce<unknown>((at, name) => (at as Readonly<Record<string, unknown>> | undefined)?.[name], automation) as Node | undefined;
}
