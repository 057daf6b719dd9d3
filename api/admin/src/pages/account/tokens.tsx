import { Badge, MultiSelect, NativeSelect, Stack, Table, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import type { components } from "../../hub/schema.d.ts";
import { me } from "../../hub/session.ts";
import { Copied } from "../../parts/copied.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { UndoableButton } from "../../parts/undoable.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Me = components["schemas"]["Me"];
type Token = components["schemas"]["AccessToken"];
type Permission = NonNullable<Token["permissions"]>[number];
const DAY_S = 86_400;
const DAYS = [7, 30, 90, 365];
const changed = () => queries.invalidateQueries({ queryKey: ["tokens"] });

export function Tokens() {
  const { t } = useTranslation("account");
  const query = usePages({
    queryKey: ["tokens"],
    ask: (cursor) => take(hub.GET("/api/v1/access-tokens", { params: { query: cursor } })),
  });
  return (
    <Stack>
      <Text size="sm">{t("tokens_about")}</Text>
      <div>
        <MakeToken />
      </div>
      <Paged query={query} empty={<Text size="sm">{t("no_tokens")}</Text>}>
        {(tokens) => <TokenTable tokens={tokens} />}
      </Paged>
    </Stack>
  );
}

function TokenTable({ tokens }: { readonly tokens: readonly Token[] }) {
  const { t } = useTranslation("account");
  const formats = useFormats();
  return (
    <WideTable minWidth={620} label={t("tokens")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("may")}</Table.Th>
            <Table.Th>{t("used")}</Table.Th>
            <Table.Th>{t("ends")}</Table.Th>
            <Table.Th>{t("actions")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {tokens.map((token) => (
            <Table.Tr key={token.id}>
              <Table.Td>
                <Text size="sm" fw={600}>
                  {token.name}
                </Text>
                <Text size="xs" c="dimmed">
                  {t(`kinds.${token.kind}`)}
                </Text>
              </Table.Td>
              <Table.Td>{token.permissions === null ? t("everything") : formats.list(token.permissions)}</Table.Td>
              <Table.Td>{token.last_used_at === null ? t("never") : formats.ago(token.last_used_at)}</Table.Td>
              <Table.Td>{token.expires_at === null ? t("never") : formats.dateTime(token.expires_at)}</Table.Td>
              <Table.Td>
                {token.revoked_at === null ? (
                  <UndoableButton
                    id={`tokens/${token.id}`}
                    queryKey={["tokens"]}
                    label={t("revoke")}
                    what={token.name}
                    about={t("revoke_about")}
                    send={(client) => take(client.DELETE("/api/v1/access-tokens/{id}", { params: { path: { id: token.id } } }))}
                  />
                ) : (
                  <Badge color="dark">{t("revoked")}</Badge>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

interface Wanted extends Record<string, unknown> {
  kind: Token["kind"];
  name: string;
  days: string;
  permissions: Permission[];
}

/** What the person may do, somewhere at least: a token does no more. */
const permissionsOf = (told: Me | undefined): Permission[] => [
  ...new Set([...(told?.permissions ?? []), ...(told?.device_permissions ?? []).flatMap(({ permissions }) => permissions)]),
];

function MakeToken() {
  const { t } = useTranslation("account");
  const { data } = useQuery(me);
  const { may } = useRights();
  const initial: Wanted = { kind: "personal", name: "", days: "90", permissions: [] };
  return (
    <FormDialog
      label={t("make_token")}
      initial={initial}
      onSend={async ({ kind, name, days, permissions }) => {
        const limits = {
          ...(days === "" ? {} : { expires_in_s: Number(days) * DAY_S }),
          ...(permissions.length === 0 ? {} : { permissions }),
        };
        const made = await take(hub.POST("/api/v1/access-tokens", { body: { kind, name, ...limits } }));
        await changed();
        return made;
      }}
      result={({ token }) => (
        <>
          <Text size="sm">{t("token_once")}</Text>
          <Copied label={t("token")} value={token} />
        </>
      )}
    >
      {(form) => (
        <>
          <NativeSelect
            label={t("kind")}
            description={t(`kind_about.${form.values.kind}`)}
            data={(may("service.manage") ? (["personal", "service"] as const) : (["personal"] as const)).map((value) => ({
              value,
              label: t(`kinds.${value}`),
            }))}
            {...form.getInputProps("kind")}
          />
          <TextInput
            label={t("name")}
            description={t("token_name")}
            required
            maxLength={64}
            pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
            autoComplete="off"
            {...form.getInputProps("name")}
          />
          <NativeSelect
            label={t("ends")}
            data={[...DAYS.map((days) => ({ value: String(days), label: t("days", { count: days }) })), { value: "", label: t("never") }]}
            {...form.getInputProps("days")}
          />
          <MultiSelect
            label={t("may")}
            description={t("may_about")}
            placeholder={form.values.permissions.length === 0 ? t("everything") : ""}
            data={permissionsOf(data)}
            searchable
            {...form.getInputProps("permissions")}
          />
        </>
      )}
    </FormDialog>
  );
}
