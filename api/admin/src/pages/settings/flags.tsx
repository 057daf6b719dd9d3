import { Badge, Button, Card, Code, Group, NumberInput, Stack, Switch, Table, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { tagOf } from "../../hub/tagged.ts";
import { Asked } from "../../parts/asked.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failed } from "../../parts/failed.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Removal } from "../../parts/removal.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { JsonField, jsonText, parseJson } from "./json-field.tsx";

type Flag = components["schemas"]["FeatureFlag"];
const changed = () => queries.invalidateQueries({ queryKey: ["flags"] });

export function Flags() {
  const { t } = useTranslation("settings");
  const query = useQuery({ queryKey: ["flags"], queryFn: () => take(hub.GET("/api/v1/feature-flags")) });
  return (
    <Stack>
      <div>
        <FlagDialog
          label={t("make_flag")}
          initial={{ name: "", description: "", enabled: false, rollout: 100, conditions: "[]" }}
          onSend={(body) => take(hub.POST("/api/v1/feature-flags", { body }))}
        />
      </div>
      <Asked query={query}>
        {({ data }) => (data.length === 0 ? <Empty title={t("no_flags")}>{t("no_flags_about")}</Empty> : <FlagTable flags={data} />)}
      </Asked>
      <Evaluation />
    </Stack>
  );
}

function FlagTable({ flags }: { readonly flags: readonly Flag[] }) {
  const { t } = useTranslation("settings");
  return (
    <WideTable minWidth={600} label={t("flags")}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("name")}</Table.Th>
            <Table.Th>{t("enabled")}</Table.Th>
            <Table.Th>{t("rollout")}</Table.Th>
            <Table.Th>{t("conditions")}</Table.Th>
            <Table.Th>{t("actions")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {flags.map((flag) => (
            <FlagRow key={flag.id} flag={flag} />
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function FlagRow({ flag }: { readonly flag: Flag }) {
  const { t } = useTranslation("settings");
  const formats = useFormats();
  const path = { id: flag.id };
  const params = async () => ({
    path,
    header: { "if-match": await tagOf(flag, hub.GET("/api/v1/feature-flags/{id}", { params: { path } }), t("changed_meanwhile")) },
  });
  return (
    <Table.Tr>
      <Table.Td>
        <Code>{flag.name}</Code>
        <Text size="xs" c="dimmed">
          {flag.description}
        </Text>
      </Table.Td>
      <Table.Td>{t(flag.enabled ? "shell:yes" : "shell:no")}</Table.Td>
      <Table.Td>{formats.share(flag.rollout_percentage / 100)}</Table.Td>
      <Table.Td>{formats.number(flag.conditions.length)}</Table.Td>
      <Table.Td>
        <Group gap="xs" wrap="nowrap">
          <FlagDialog
            label={t("change")}
            what={flag.name}
            initial={{
              name: flag.name,
              description: flag.description,
              enabled: flag.enabled,
              rollout: flag.rollout_percentage,
              conditions: jsonText(flag.conditions),
            }}
            onSend={async (body) => take(hub.PATCH("/api/v1/feature-flags/{id}", { params: await params(), body }))}
          />
          <Removal
            name={flag.name}
            button={{ size: "compact-sm" }}
            remove={async () => take(hub.DELETE("/api/v1/feature-flags/{id}", { params: await params() }))}
            onRemoved={changed}
          >
            {t("remove_flag_about")}
          </Removal>
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}

interface Values extends Record<string, unknown> {
  name: string;
  description: string;
  enabled: boolean;
  rollout: number;
  /** JSON */
  conditions: string;
}

interface FlagDialogProps {
  readonly label: string;
  readonly what?: string;
  readonly initial: Values;
  readonly onSend: (body: components["schemas"]["FeatureFlagRequest"]) => Promise<unknown>;
}

function FlagDialog({ label, what, initial, onSend }: FlagDialogProps) {
  const { t } = useTranslation("settings");
  return (
    <FormDialog
      label={label}
      {...(what === undefined ? {} : { what, button: { size: "compact-sm", variant: "default" } as const })}
      initial={initial}
      onSend={async ({ name, description, enabled, rollout, conditions }: Values) => {
        await onSend({
          name,
          description,
          enabled,
          rollout_percentage: rollout,
          conditions: parseJson(conditions, t("no_json")) as Flag["conditions"],
        });
        await changed();
      }}
    >
      {(form) => (
        <>
          <TextInput
            label={t("name")}
            description={t("flag_name")}
            required
            maxLength={64}
            pattern="[a-z][a-z0-9_.\-]*"
            {...form.getInputProps("name")}
          />
          <TextInput label={t("description")} maxLength={500} {...form.getInputProps("description")} />
          <Switch label={t("enabled")} {...form.getInputProps("enabled", { type: "checkbox" })} />
          <NumberInput label={t("rollout")} suffix=" %" min={0} max={100} required hideControls {...form.getInputProps("rollout")} />
          <JsonField label={t("conditions")} description={t("conditions_about")} {...form.getInputProps("conditions")} />
        </>
      )}
    </FormDialog>
  );
}

/** What somebody gets, and why. */
function Evaluation() {
  const { t } = useTranslation("settings");
  const form = useForm({ initialValues: { user: "", version: "" } });
  const evaluate = useMutation({
    mutationFn: ({ user, version }: { readonly user: string; readonly version: string }) => {
      const query = { ...(user.trim() === "" ? {} : { user_id: user.trim() }), ...(version === "" ? {} : { version }) };
      return take(hub.GET("/api/v1/feature-flags/evaluate", { params: { query } }));
    },
  });
  const decisions = Object.entries(evaluate.data?.flags ?? {});
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("evaluate")}
      </Title>
      <form onSubmit={form.onSubmit((values) => evaluate.mutate(values))}>
        <Group align="flex-end">
          <TextInput label={t("user_id")} description={t("user_id_about")} {...form.getInputProps("user")} />
          <TextInput label={t("version")} description={t("version_about")} maxLength={64} {...form.getInputProps("version")} />
          <Button type="submit" variant="default" loading={evaluate.isPending}>
            {t("evaluate")}
          </Button>
        </Group>
      </form>
      <Stack mt="md" gap="xs" role="status">
        {evaluate.isError && <Failed error={evaluate.error} />}
        {evaluate.data && decisions.length === 0 && <Text size="sm">{t("no_flags")}</Text>}
        {decisions.map(([name, { enabled, reason }]) => (
          <Group key={name} gap="xs">
            <Code>{name}</Code>
            <Badge color="dark">{t(enabled ? "on" : "off")}</Badge>
            <Text size="sm">{t(`reasons.${reason}`)}</Text>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}
