import { Badge, Button, Card, Code, Group, Stack, Table, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { queries } from "../../hub/queries.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { useErrorWords } from "../../parts/failed.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { useUrlFilters } from "../../parts/url-filters.ts";
import { WideTable } from "../../parts/wide-table.tsx";

interface Version {
  readonly version: number;
  readonly name: string;
  readonly note: string | null;
  readonly changed_at: string;
}
/** One place where two versions differ. */
interface Change {
  /** JSON Pointer */
  readonly path: string;
  readonly before?: unknown;
  readonly after?: unknown;
}
interface VersionsAsked {
  readonly limit: number;
  readonly cursor?: number;
}

interface VersionsProps {
  /** Of its queries: the kind of thing, `one`, and its id. */
  readonly name: readonly [kind: string, one: string, id: string];
  readonly present: number;
  readonly ask: (query: VersionsAsked) => Promise<{ data: Version[]; next_cursor: string | null }>;
  readonly compare: (from: number, to: number) => Promise<{ readonly changes: readonly Change[] }>;
  readonly restore: (version: number) => Promise<unknown>;
}

const PAGE = 20;

/** What it said, what that has different from what it says now, and the way back. Which one is compared stands in the URL. */
export function Versions({ name, present, ask, compare, restore }: VersionsProps) {
  const { t } = useTranslation("definition");
  const { filters, set } = useUrlFilters();
  const query = usePages({
    queryKey: [...name, "versions"],
    ask: ({ cursor }) => ask({ limit: PAGE, ...(cursor === undefined ? {} : { cursor: Number(cursor) }) }),
  });
  const compared = Number(filters["version"]);
  return (
    <Stack>
      <Paged query={query} empty={null} isInner>
        {(versions) => (
          <VersionTable versions={versions} present={present}>
            {(version) => (
              <Group gap="xs" wrap="nowrap">
                <Button
                  size="xs"
                  variant="default"
                  aria-label={t("versions.compare_version", { version })}
                  onClick={() => set({ version: String(version) })}
                >
                  {t("versions.compare")}
                </Button>
                <Allowed need="automation.manage">
                  <RestoreButton kind={name[0]} version={version} restore={restore} />
                </Allowed>
              </Group>
            )}
          </VersionTable>
        )}
      </Paged>
      {Number.isInteger(compared) && compared > 0 && compared !== present && (
        <Difference name={name} from={compared} to={present} compare={compare} />
      )}
    </Stack>
  );
}

interface TableProps {
  readonly versions: readonly Version[];
  readonly present: number;
  /** What can be done with a former one. */
  readonly children: (version: number) => ReactNode;
}

function VersionTable({ versions, present, children }: TableProps) {
  const { t } = useTranslation("definition");
  const formats = useFormats();
  return (
    <WideTable minWidth={560} label={t("versions.title")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            {(["version", "changed", "name", "note", "doings"] as const).map((column) => (
              <Table.Th key={column}>{t(`versions.${column}`)}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map(({ version, name, note, changed_at: at }) => (
            <Table.Tr key={version}>
              <Table.Td>{version}</Table.Td>
              <Table.Td>{formats.dateTime(at)}</Table.Td>
              <Table.Td>{name}</Table.Td>
              <Table.Td>{note}</Table.Td>
              <Table.Td>
                {version === present ? (
                  <Badge variant="dot" color="teal">
                    {t("versions.present")}
                  </Badge>
                ) : (
                  children(version)
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

interface RestoreProps {
  readonly kind: string;
  readonly version: number;
  readonly restore: (version: number) => Promise<unknown>;
}

/** The version of now stays among the former ones: nothing is lost. */
function RestoreButton({ kind, version, restore }: RestoreProps) {
  const { t } = useTranslation("definition");
  const words = useErrorWords();
  const confirm = useConfirm();
  const closeButtonProps = { "aria-label": t("shell:close") };
  const change = useMutation({
    mutationFn: () => restore(version),
    onSuccess: () => notifications.show({ message: t("versions.restored", { version }), closeButtonProps }),
    onError: (error) => notifications.show({ color: "red", title: t("versions.refused"), message: words(error), closeButtonProps }),
    onSettled: () => queries.invalidateQueries({ queryKey: [kind] }),
  });
  const title = t("versions.restore_version", { version });
  return (
    <Button
      size="xs"
      variant="default"
      aria-label={title}
      loading={change.isPending}
      onClick={() => confirm({ title, about: t("versions.restore_about"), onYes: () => change.mutate() })}
    >
      {t("versions.restore")}
    </Button>
  );
}

interface DifferenceProps extends Pick<VersionsProps, "name" | "compare"> {
  readonly from: number;
  readonly to: number;
}

function Difference({ name, from, to, compare }: DifferenceProps) {
  const { t } = useTranslation("definition");
  const query = useQuery({ queryKey: [...name, "diff", from, to], queryFn: () => compare(from, to) });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("versions.difference", { from, to })}
      </Title>
      <Asked query={query}>
        {({ changes }) => (changes.length === 0 ? <Text>{t("versions.same")}</Text> : <Changes changes={changes} />)}
      </Asked>
    </Card>
  );
}

function Changes({ changes }: { readonly changes: readonly Change[] }) {
  const { t } = useTranslation("definition");
  return (
    <WideTable minWidth={480} label={t("versions.changes")}>
      <Table layout="fixed">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("versions.where")}</Table.Th>
            <Table.Th>{t("versions.before")}</Table.Th>
            <Table.Th>{t("versions.after")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {changes.map(({ path, before, after }) => (
            <Table.Tr key={path}>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{path}</Table.Td>
              <Table.Td>{before !== undefined && <Value value={before} />}</Table.Td>
              <Table.Td>{after !== undefined && <Value value={after} />}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

const Value = ({ value }: { readonly value: unknown }) => <Code style={{ overflowWrap: "anywhere" }}>{JSON.stringify(value)}</Code>;
