import { Badge, List, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import type { components } from "../../hub/schema.d.ts";
import { TextLink } from "../../parts/text-link.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { useDeviceName } from "./devices.tsx";

export type Run = components["schemas"]["Run"];
const COLORS = { ok: "teal", failed: "red", running: "blue", waiting: "blue", queued: "gray", cancelled: "gray" } as const;
/** Of a cause; not what decided. */
const NOT_VALUES = new Set(["kind", "index", "name", "time_zone", "by"]);

export function RunTable({ runs }: { readonly runs: readonly Run[] }) {
  const { t } = useTranslation("definition");
  const formats = useFormats();
  return (
    <WideTable minWidth={640} label={t("runs.table")}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("runs.when")}</Table.Th>
            <Table.Th>{t("runs.status")}</Table.Th>
            <Table.Th>{t("runs.cause")}</Table.Th>
            <Table.Th>{t("runs.steps")}</Table.Th>
            <Table.Th>{t("runs.version")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td>{formats.dateTime(run.created_at)}</Table.Td>
              <Table.Td>
                <Badge variant="dot" color={COLORS[run.status]} miw="max-content">
                  {t(`status.${run.status}`)}
                </Badge>
              </Table.Td>
              <Table.Td>
                <Cause run={run} />
              </Table.Td>
              <Table.Td>
                <Steps run={run} />
              </Table.Td>
              <Table.Td>{run.source_version ?? ""}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Cause({ run: { cause, scheduled_for: scheduledFor, correlation_id: chain } }: { readonly run: Run }) {
  const { t } = useTranslation("definition");
  const formats = useFormats();
  const kind = String((cause as Readonly<Record<string, unknown>>)["kind"]);
  return (
    <>
      <Text size="sm">{t(`cause.${kind}`, { defaultValue: kind })}</Text>
      {scheduledFor !== null && <Text size="xs">{t("runs.due", { when: formats.dateTime(scheduledFor) })}</Text>}
      <Values values={cause} />
      <TextLink to="/events/$id" params={{ id: chain }} size="xs">
        {t("runs.chain")}
      </TextLink>
    </>
  );
}

/** The values that decided, one after the other. */
export function Values({ values }: { readonly values: Readonly<Record<string, unknown>> }) {
  const nameOf = useDeviceName();
  const shown = Object.entries(values).filter(([name, value]) => !NOT_VALUES.has(name) && value !== null);
  if (shown.length === 0) return null;
  return (
    <Text size="xs" style={{ overflowWrap: "anywhere" }}>
      {shown
        .map(
          ([name, value]) => `${name} = ${typeof value !== "string" ? JSON.stringify(value) : name === "device" ? nameOf(value) : value}`,
        )
        .join(" · ")}
    </Text>
  );
}

function Steps({ run: { steps } }: { readonly run: Run }) {
  const { t } = useTranslation("definition");
  const failed = steps.filter(({ status }) => status === "failed");
  return (
    <>
      <Text size="sm">{t("runs.done", { count: steps.length - failed.length })}</Text>
      {failed.length > 0 && (
        <List size="xs">
          {failed.map(({ path, kind, code, message, at }) => (
            <List.Item key={`${path} ${at}`}>
              {t(`action.${kind}`, { defaultValue: kind })}: {message ?? code}
            </List.Item>
          ))}
        </List>
      )}
    </>
  );
}
