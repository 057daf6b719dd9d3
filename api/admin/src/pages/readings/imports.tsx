import { Badge, Button, FileButton, Group, Progress, Stack, Table, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Upload } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { FoldingCard } from "../../parts/folding-card.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { sendFile } from "./send-file.ts";

type Summary = components["schemas"]["ReadingImportSummary"];
const COLORS = { running: "blue", completed: "teal", interrupted: "orange" } as const;
const WATCH_MS = 1_000;

/** Files that were taken in, and one that is sent now. */
export function Imports() {
  const { t } = useTranslation("readings");
  const [sent, setSent] = useState(0);
  const [openId, setOpenId] = useState<string | undefined>();
  const sending = useMutation({
    mutationFn: (file: File) => sendFile(file, setSent),
    onSuccess: (made) => setOpenId(made.refused > 0 ? made.id : undefined),
    onSettled: () => queries.invalidateQueries({ queryKey: ["readings"] }),
  });
  const query = useQuery({
    queryKey: ["readings", "imports"],
    queryFn: () => take(hub.GET("/api/v1/readings/imports", { params: { query: { limit: 10 } } })),
    refetchInterval: ({ state }) => (sending.isPending || state.data?.data.some((one) => one.state === "running") ? WATCH_MS : false),
  });
  return (
    <FoldingCard name="imports" title={t("import")}>
      <Stack>
        <Text size="sm">{t("import_about")}</Text>
        <Group>
          <FileButton accept=".csv,.ndjson,.jsonl,text/csv,application/x-ndjson" onChange={(file) => file && sending.mutate(file)}>
            {(props) => (
              <Button {...props} loading={sending.isPending} variant="default" leftSection={<Upload size={16} aria-hidden />}>
                {t("import_choose")}
              </Button>
            )}
          </FileButton>
        </Group>
        {sending.isPending && <Progress value={sent * 100} animated aria-label={t("import_progress")} />}
        {sending.isError && <Failed error={sending.error} />}
        {sending.data && <Text role="status">{t("import_done", { ...sending.data })}</Text>}
        <Asked query={query}>{({ data }) => <ImportTable imports={data} openId={openId} onOpen={setOpenId} />}</Asked>
        {openId !== undefined && <Refusals id={openId} />}
      </Stack>
    </FoldingCard>
  );
}

interface ImportTableProps {
  readonly imports: readonly Summary[];
  readonly openId: string | undefined;
  readonly onOpen: (id: string | undefined) => void;
}

function ImportTable({ imports, openId, onOpen }: ImportTableProps) {
  const { t } = useTranslation("readings");
  const formats = useFormats();
  if (imports.length === 0)
    return (
      <Text c="dimmed" size="sm">
        {t("no_imports")}
      </Text>
    );
  return (
    <WideTable minWidth={520} label={t("imports")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {["started", "state", "lines", "stored", "known", "refused"].map((name) => (
              <Table.Th key={name}>{t(name)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {imports.map((one) => (
            <Table.Tr key={one.id}>
              <Table.Td>{formats.dateTime(one.started_at)}</Table.Td>
              <Table.Td>
                <Badge miw="max-content" variant="dot" color={COLORS[one.state]}>
                  {t(`states.${one.state}`)}
                </Badge>
              </Table.Td>
              <Table.Td>{formats.number(one.lines)}</Table.Td>
              <Table.Td>{formats.number(one.stored)}</Table.Td>
              <Table.Td>{formats.number(one.known)}</Table.Td>
              <Table.Td>
                {one.refused === 0 ? (
                  formats.number(0)
                ) : (
                  <Button
                    size="compact-xs"
                    variant="default"
                    aria-expanded={openId === one.id}
                    onClick={() => onOpen(openId === one.id ? undefined : one.id)}
                  >
                    {t("refused_lines", { count: one.refused })}
                  </Button>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Refusals({ id }: { readonly id: string }) {
  const { t } = useTranslation("readings");
  const query = useQuery({
    queryKey: ["readings", "imports", id],
    queryFn: () => take(hub.GET("/api/v1/readings/imports/{id}", { params: { path: { id } } })),
  });
  return (
    <Asked query={query}>
      {({ import: { refusals } }) => (
        <WideTable minWidth={400} maxHeight={320} label={t("refusals")}>
          <Table captionSide="top">
            <Table.Caption>{t("refusals")}</Table.Caption>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("line")}</Table.Th>
                <Table.Th>{t("why")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {refusals.map(({ line, code, message }) => (
                <Table.Tr key={line}>
                  <Table.Td>{line}</Table.Td>
                  <Table.Td>
                    {t(`refusal.${code}`)} ({message})
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </WideTable>
      )}
    </Asked>
  );
}
