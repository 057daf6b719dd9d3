import { Button, Card, Checkbox, Group, Stack, Table, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { useConfirm } from "../../parts/confirm.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Removal } from "../../parts/removal.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Client = components["schemas"]["OauthClient"];
type Wanted = components["schemas"]["OauthClientRequest"];
const KEY = ["oauth-clients"];
const SCOPES = ["devices", "devices.read", "scenes"] as const;
const PAGE = 20;

/** Programs that people link their account with. */
export function OauthClients() {
  const { t } = useTranslation("smart-homes");
  const query = usePages({
    queryKey: KEY,
    ask: (cursor) => take(hub.GET("/api/v1/oauth-clients", { params: { query: { limit: PAGE, ...cursor } } })),
  });
  const settled = { onSuccess: () => queries.invalidateQueries({ queryKey: KEY }) };
  const make = useMutation({ mutationFn: (body: Wanted) => take(hub.POST("/api/v1/oauth-clients", { body })), ...settled });
  const rotate = useMutation({
    mutationFn: (id: string) => take(hub.POST("/api/v1/oauth-clients/{id}/rotate-secret", { params: { path: { id } } })),
    ...settled,
  });
  const shown = rotate.data ?? make.data;
  const done = (): void => {
    make.reset();
    rotate.reset();
  };
  return (
    <Card withBorder>
      <Stack gap="sm">
        <Title order={2} size="h4">
          {t("clients.title")}
        </Title>
        <Text size="sm">{t("clients.about")}</Text>
        {rotate.isError && <Failed error={rotate.error} />}
        {shown && (
          <SecretOnce
            values={[
              [t("clients.id"), shown.client.client_id],
              [t("clients.secret"), shown.client_secret],
            ]}
            onDone={done}
          >
            {rotate.data && t("clients.both")}
          </SecretOnce>
        )}
        <Paged query={query} empty={!shown && <Text size="sm">{t("clients.none")}</Text>}>
          {(clients) => <ClientTable clients={clients} rotate={rotate.mutate} />}
        </Paged>
        {query.data && !shown && <NewClient isPending={make.isPending} error={make.error} onMake={(body) => make.mutate(body)} />}
      </Stack>
    </Card>
  );
}

interface TableProps {
  readonly clients: readonly Client[];
  readonly rotate: (id: string) => void;
}

function ClientTable({ clients, rotate }: TableProps) {
  const { t } = useTranslation("smart-homes");
  const formats = useFormats();
  const confirm = useConfirm();
  const askRotate = ({ client_id: id, name }: Client): void =>
    confirm({
      title: t("clients.rotate_what", { name }),
      about: t("clients.rotate_about"),
      label: t("clients.rotate"),
      onYes: () => rotate(id),
    });
  return (
    <WideTable minWidth={560} label={t("clients.title")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("clients.name")}</Table.Th>
            <Table.Th>{t("clients.scopes")}</Table.Th>
            <Table.Th>{t("clients.links")}</Table.Th>
            <Table.Th>{t("clients.doings")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {clients.map((client) => (
            <Table.Tr key={client.client_id}>
              <Table.Td>{client.name}</Table.Td>
              <Table.Td>{formats.list(client.scopes)}</Table.Td>
              <Table.Td>{formats.number(client.links)}</Table.Td>
              <Table.Td>
                <Group gap="xs" wrap="nowrap">
                  <Button
                    size="xs"
                    variant="default"
                    aria-label={t("clients.rotate_what", { name: client.name })}
                    onClick={() => askRotate(client)}
                  >
                    {t("clients.rotate")}
                  </Button>
                  <Removal
                    name={client.name}
                    button={{ size: "xs" }}
                    remove={() => take(hub.DELETE("/api/v1/oauth-clients/{id}", { params: { path: { id: client.client_id } } }))}
                    onRemoved={() => queries.invalidateQueries({ queryKey: KEY })}
                  >
                    {t("clients.remove_about")}
                  </Removal>
                </Group>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

interface NewProps {
  readonly isPending: boolean;
  readonly error: unknown;
  readonly onMake: (body: Wanted) => void;
}

function NewClient({ isPending, error, onMake }: NewProps) {
  const { t } = useTranslation("smart-homes");
  const form = useForm<{ name: string; uris: string; scopes: string[] }>({
    initialValues: { name: "Alexa", uris: "", scopes: ["devices", "scenes"] },
    validate: { scopes: (scopes) => (scopes.length === 0 ? t("clients.scope_needed") : null) },
  });
  const submit = form.onSubmit(({ name, uris, scopes }) =>
    onMake({ name, redirect_uris: uris.split(/\s+/).filter((uri) => uri !== ""), scopes: SCOPES.filter((one) => scopes.includes(one)) }),
  );
  return (
    <form onSubmit={submit}>
      <Stack gap="sm" maw={560}>
        {error !== null && <Failed error={error} />}
        <TextInput label={t("clients.name")} required maxLength={60} {...form.getInputProps("name")} />
        <Textarea
          label={t("clients.uris")}
          description={t("clients.uris_about")}
          required
          autosize
          minRows={2}
          {...form.getInputProps("uris")}
        />
        <Checkbox.Group label={t("clients.scopes")} {...form.getInputProps("scopes")}>
          <Stack gap="xs" mt="xs">
            {SCOPES.map((scope) => (
              <Checkbox key={scope} value={scope} label={t(`clients.scope.${scope.replace(".", "_")}`)} />
            ))}
          </Stack>
        </Checkbox.Group>
        <Button type="submit" loading={isPending} style={{ alignSelf: "flex-start" }}>
          {t("clients.create")}
        </Button>
      </Stack>
    </form>
  );
}
