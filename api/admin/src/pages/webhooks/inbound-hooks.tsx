import { Button, Card, Group, Select, Stack, Switch, Table, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { useConfirm } from "../../parts/confirm.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { Paged, usePages } from "../../parts/paged.tsx";
import { Removal } from "../../parts/removal.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { WideTable } from "../../parts/wide-table.tsx";

type Hook = components["schemas"]["InboundHook"];
type WithSecret = components["schemas"]["InboundHookWithSecret"];
const KEY = ["inbound-hooks"];
const SCHEMES = ["standard", "sha256", "token"] as const;
const PAGE = 50;
/** One field alone is set, whatever the others are by now. */
const WHATEVER = { "if-match": "*" };
const settled = { onSettled: () => queries.invalidateQueries({ queryKey: KEY }) };

/** Addresses of the hub that others call. */
export function InboundHooks() {
  const { t } = useTranslation("webhooks");
  const query = usePages({
    queryKey: KEY,
    ask: (cursor) => take(hub.GET("/api/v1/inbound-hooks", { params: { query: { limit: PAGE, ...cursor } } })),
  });
  return (
    <Stack>
      <Paged query={query} empty={<Empty title={t("no_hooks")}>{t("no_hooks_about")}</Empty>}>
        {(hooks) => <HookTable hooks={hooks} />}
      </Paged>
      {query.data && <NewHook />}
    </Stack>
  );
}

function HookSecret({ made: { hook, secret }, onDone }: { readonly made: WithSecret; readonly onDone: () => void }) {
  const { t } = useTranslation("webhooks");
  return (
    <SecretOnce
      values={[
        [t("address"), location.origin + hook.path],
        [t("secret"), secret],
      ]}
      onDone={onDone}
    >
      {t(`scheme_about.${hook.scheme}`)}
    </SecretOnce>
  );
}

function HookTable({ hooks }: { readonly hooks: readonly Hook[] }) {
  const { t } = useTranslation("webhooks");
  const confirm = useConfirm();
  const toggle = useMutation({
    mutationFn: ({ id, wanted }: { id: string; wanted: boolean }) =>
      take(hub.PATCH("/api/v1/inbound-hooks/{id}", { params: { path: { id }, header: WHATEVER }, body: { is_active: wanted } })),
    ...settled,
  });
  const rotate = useMutation({
    mutationFn: (id: string) => take(hub.POST("/api/v1/inbound-hooks/{id}/rotate-secret", { params: { path: { id } }, body: {} })),
    ...settled,
  });
  const askRotate = ({ id, name }: Hook): void =>
    confirm({ title: t("rotate_what", { name }), about: t("rotate_about"), label: t("rotate"), onYes: () => rotate.mutate(id) });
  const failed = [toggle, rotate].find(({ isError }) => isError);
  return (
    <>
      {failed && <Failed error={failed.error} />}
      {rotate.data && <HookSecret made={rotate.data} onDone={rotate.reset} />}
      <WideTable minWidth={640} label={t("tab.in")}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              {["name", "address", "active", "doings"].map((name) => (
                <Table.Th key={name}>{t(name)}</Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {hooks.map((hook) => (
              <HookRow
                key={hook.id}
                hook={hook}
                isPending={toggle.isPending && toggle.variables.id === hook.id}
                onToggle={(wanted) => toggle.mutate({ id: hook.id, wanted })}
                onRotate={() => askRotate(hook)}
              />
            ))}
          </Table.Tbody>
        </Table>
      </WideTable>
    </>
  );
}

interface RowProps {
  readonly hook: Hook;
  readonly isPending: boolean;
  readonly onToggle: (wanted: boolean) => void;
  readonly onRotate: () => void;
}

function HookRow({ hook, isPending, onToggle, onRotate }: RowProps) {
  const { t } = useTranslation("webhooks");
  return (
    <Table.Tr>
      <Table.Td>{hook.name}</Table.Td>
      <Table.Td style={{ overflowWrap: "anywhere" }}>{location.origin + hook.path}</Table.Td>
      <Table.Td>
        <Switch
          aria-label={t("active_what", { name: hook.name })}
          checked={hook.is_active !== isPending}
          disabled={isPending}
          onChange={({ currentTarget }) => onToggle(currentTarget.checked)}
        />
      </Table.Td>
      <Table.Td>
        <Group gap="xs" wrap="nowrap">
          <Button size="xs" variant="default" aria-label={t("rotate_what", { name: hook.name })} onClick={onRotate}>
            {t("rotate")}
          </Button>
          <Removal
            name={hook.name}
            button={{ size: "xs" }}
            remove={() => take(hub.DELETE("/api/v1/inbound-hooks/{id}", { params: { path: { id: hook.id }, header: WHATEVER } }))}
            onRemoved={() => queries.invalidateQueries({ queryKey: KEY })}
          >
            {t("hook_remove_about")}
          </Removal>
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}

function NewHook() {
  const { t } = useTranslation("webhooks");
  const form = useForm<{ name: string; scheme: (typeof SCHEMES)[number] }>({ initialValues: { name: "", scheme: "standard" } });
  const make = useMutation({
    mutationFn: (body: typeof form.values) => take(hub.POST("/api/v1/inbound-hooks", { body })),
    onSuccess: () => form.reset(),
    ...settled,
  });
  return (
    <Card withBorder maw={560}>
      <form onSubmit={form.onSubmit((values) => make.mutate(values))}>
        <Stack gap="sm">
          <Title order={2} size="h4">
            {t("make_hook")}
          </Title>
          {make.isError && <Failed error={make.error} />}
          {make.data && <HookSecret made={make.data} onDone={make.reset} />}
          <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />
          <Select
            label={t("scheme")}
            data={SCHEMES.map((value) => ({ value, label: t(`schemes.${value}`) }))}
            allowDeselect={false}
            {...form.getInputProps("scheme")}
          />
          <Button type="submit" loading={make.isPending} style={{ alignSelf: "flex-start" }}>
            {t("make_hook")}
          </Button>
        </Stack>
      </form>
    </Card>
  );
}
