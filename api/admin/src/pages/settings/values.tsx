import { Autocomplete, Code, Group, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { tagOf } from "../../hub/tagged.ts";
import { Allowed } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Empty } from "../../parts/empty.tsx";
import { FormDialog } from "../../parts/form-dialog.tsx";
import { Removal } from "../../parts/removal.tsx";
import { WideTable } from "../../parts/wide-table.tsx";
import { JsonField, jsonText, parseJson } from "./json-field.tsx";

type Setting = components["schemas"]["EffectiveSetting"];
/** What the hub itself reads; other keys are of services that know theirs. */
const KNOWN = ["events.retention_days", "readings.retention_days", "sensors.unit_system"] as const;
const meaningOf = (key: string) => KNOWN.find((one) => one === key)?.replace(".", "_");
const changed = () => queries.invalidateQueries({ queryKey: ["settings"] });

/** Whose values they are, and how the hub is asked for them. */
interface Owner {
  readonly name: Setting["source"];
  readonly list: () => Promise<{ readonly data: Setting[] }>;
  readonly tag: (setting: Setting, message: string) => Promise<string>;
  readonly put: (key: string, value: unknown, header: { readonly "if-match"?: string }) => Promise<unknown>;
  readonly remove: (key: string, header: { readonly "if-match": string }) => Promise<unknown>;
}

const ORGANIZATION: Owner = {
  name: "organization",
  list: () => take(hub.GET("/api/v1/settings")),
  tag: (setting, message) => tagOf(setting, hub.GET("/api/v1/settings/{key}", { params: { path: { key: setting.key } } }), message),
  put: (key, value, header) => take(hub.PUT("/api/v1/settings/{key}", { params: { path: { key }, header }, body: { value } })),
  remove: (key, header) => take(hub.DELETE("/api/v1/settings/{key}", { params: { path: { key }, header } })),
};
const PLATFORM: Owner = {
  name: "platform",
  list: () => take(hub.GET("/api/v1/platform/settings")),
  tag: (setting, message) =>
    tagOf(setting, hub.GET("/api/v1/platform/settings/{key}", { params: { path: { key: setting.key } } }), message),
  put: (key, value, header) => take(hub.PUT("/api/v1/platform/settings/{key}", { params: { path: { key }, header }, body: { value } })),
  remove: (key, header) => take(hub.DELETE("/api/v1/platform/settings/{key}", { params: { path: { key }, header } })),
};

export const OrganizationValues = () => <Values owner={ORGANIZATION} />;
export const PlatformValues = () => <Values owner={PLATFORM} />;

function Values({ owner }: { readonly owner: Owner }) {
  const { t } = useTranslation("settings");
  const query = useQuery({ queryKey: ["settings", owner.name], queryFn: owner.list });
  return (
    <Stack>
      <Text size="sm">{t(`values_about.${owner.name}`)}</Text>
      <Allowed need="organization.manage">
        <div>
          <SetValue owner={owner} />
        </div>
      </Allowed>
      <Asked query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty title={t("no_values")}>{t("no_values_about")}</Empty>
          ) : (
            <WideTable minWidth={640} label={t("values")}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("key")}</Table.Th>
                    <Table.Th>{t("value")}</Table.Th>
                    <Table.Th>{t("source")}</Table.Th>
                    <Table.Th>{t("updated")}</Table.Th>
                    <Table.Th>{t("actions")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.map((setting) => (
                    <ValueRow key={setting.key} owner={owner} setting={setting} />
                  ))}
                </Table.Tbody>
              </Table>
            </WideTable>
          )
        }
      </Asked>
    </Stack>
  );
}

function ValueRow({ owner, setting }: { readonly owner: Owner; readonly setting: Setting }) {
  const { t } = useTranslation("settings");
  const formats = useFormats();
  const meaning = meaningOf(setting.key);
  const isOwn = setting.source === owner.name;
  const tag = async () => ({ "if-match": await owner.tag(setting, t("changed_meanwhile")) });
  return (
    <Table.Tr>
      <Table.Td>
        <Code>{setting.key}</Code>
        <Text size="xs" c="dimmed">
          {meaning === undefined ? t("meaning.other") : t(`meaning.${meaning}`)}
        </Text>
      </Table.Td>
      <Table.Td style={{ overflowWrap: "anywhere" }}>
        <Code>{JSON.stringify(setting.value)}</Code>
      </Table.Td>
      <Table.Td>{t(`sources.${setting.source}`)}</Table.Td>
      <Table.Td>{formats.dateTime(setting.updated_at)}</Table.Td>
      <Table.Td>
        <Allowed need="organization.manage">
          <Group gap="xs" wrap="nowrap">
            <FormDialog
              label={t("change")}
              what={setting.key}
              button={{ size: "compact-sm", variant: "default" }}
              initial={{ value: jsonText(setting.value) }}
              onSend={async ({ value }) => {
                await owner.put(setting.key, parsed(value, t("no_json")), isOwn ? await tag() : {});
                await changed();
              }}
            >
              {(form) => <JsonField label={t("value")} {...form.getInputProps("value")} />}
            </FormDialog>
            {isOwn && (
              <Removal
                name={setting.key}
                button={{ size: "compact-sm" }}
                remove={async () => owner.remove(setting.key, await tag())}
                onRemoved={changed}
              >
                {t(`remove_value_about.${owner.name}`)}
              </Removal>
            )}
          </Group>
        </Allowed>
      </Table.Td>
    </Table.Tr>
  );
}

function SetValue({ owner }: { readonly owner: Owner }) {
  const { t } = useTranslation("settings");
  return (
    <FormDialog
      label={t("set_value")}
      initial={{ key: "", value: "" }}
      onSend={async ({ key, value }) => {
        await owner.put(key.trim(), parsed(value, t("no_json")), {});
        await changed();
      }}
    >
      {(form) => {
        const meaning = meaningOf(form.values.key);
        return (
          <>
            <Autocomplete
              label={t("key")}
              description={meaning === undefined ? t("key_about") : t(`meaning.${meaning}`)}
              required
              maxLength={128}
              data={[...KNOWN]}
              {...form.getInputProps("key")}
            />
            <JsonField label={t("value")} description={t("value_about")} {...form.getInputProps("value")} />
          </>
        );
      }}
    </FormDialog>
  );
}

/** A word without quotation marks is meant as a text. */
const parsed = (text: string, message: string): unknown =>
  /^[a-z][\w-]*$/i.test(text) && !/^(?:true|false|null)$/.test(text) ? text : parseJson(text, message);
