import { Badge, Button, Card, Group, Select, Stack, Table, Text, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, type Tagged, takeTagged } from "../../hub/tagged.ts";
import { Allowed, Editable } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { JsonField, jsonText, parseJson } from "./json-field.tsx";

type Policy = components["schemas"]["RiskPolicy"];
type Assessment = components["schemas"]["RiskAssessment"];
const OFFERED = 50;
const KEY = ["risk-policy"];

export function Risk() {
  const { t } = useTranslation("settings");
  const query = useQuery({ queryKey: KEY, queryFn: () => takeTagged(hub.GET("/api/v1/risk-policy")) });
  return (
    <Stack>
      <Card withBorder>
        <Title order={2} size="h4" mb="sm">
          {t("policy")}
        </Title>
        <Asked query={query}>
          {(policy) => (
            <Editable need="organization.manage">
              <PolicyForm key={policy.tag} policy={policy} />
            </Editable>
          )}
        </Asked>
      </Card>
      <Allowed need="device.control">
        <Card withBorder>
          <Title order={2} size="h4" mb="sm">
            {t("assess")}
          </Title>
          <Assess />
        </Card>
      </Allowed>
    </Stack>
  );
}

function PolicyForm({ policy: { data, tag } }: { readonly policy: Tagged<Policy> }) {
  const { t } = useTranslation("settings");
  const form = useForm({
    initialValues: { policy: jsonText(changeable(data)) },
  });
  const save = useMutation({
    mutationFn: async ({ policy }: { readonly policy: string }) => {
      const body = parseJson(policy, t("no_json")) as components["schemas"]["RiskPolicyChange"];
      return take(hub.PUT("/api/v1/risk-policy", { params: { header: ifMatch(tag) }, body }));
    },
    onSuccess() {
      notifications.show({ message: t("saved") });
      return queries.invalidateQueries({ queryKey: KEY });
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => save.mutate(values))}>
      <Stack align="stretch">
        <Text size="sm">{t("policy_about", { version: data.version })}</Text>
        <JsonField label={t("policy_json")} {...form.getInputProps("policy")} />
        {save.isError && <Failed error={save.error} />}
        <div>
          <Button type="submit" loading={save.isPending}>
            {t("shell:save")}
          </Button>
        </div>
      </Stack>
    </form>
  );
}

/** Without what the hub says of it by itself. */
function changeable({ version: _version, updated_at: _at, updated_by: _by, ...policy }: Policy) {
  return policy;
}

function Assess() {
  const { t } = useTranslation("settings");
  const [search, setSearch] = useState("");
  const devices = useQuery({
    queryKey: ["devices", "offered", search],
    queryFn: () => take(hub.GET("/api/v1/devices", { params: { query: { limit: OFFERED, ...(search === "" ? {} : { search }) } } })),
    placeholderData: (before) => before,
  });
  const form = useForm({
    initialValues: { device: "", actions: jsonText([{ command: "set_relay", relay: 0, state: "ON" }]) },
  });
  const assess = useMutation({
    mutationFn: async ({ device, actions }: { readonly device: string; readonly actions: string }) =>
      take(
        hub.POST("/api/v1/risk-policy/assess", {
          body: { device, actions: parseJson(actions, t("no_json")) as components["schemas"]["RiskQuestion"]["actions"] },
        }),
      ),
  });
  return (
    <form onSubmit={form.onSubmit((values) => assess.mutate(values))}>
      <Stack>
        <Select
          label={t("device")}
          searchable
          required
          data={(devices.data?.data ?? []).map(({ id: value, name: label }) => ({ value, label }))}
          onSearchChange={setSearch}
          {...form.getInputProps("device")}
        />
        <JsonField label={t("commands")} {...form.getInputProps("actions")} />
        <div>
          <Button type="submit" variant="default" loading={assess.isPending}>
            {t("assess")}
          </Button>
        </div>
        <div role="status">
          {assess.isError && <Failed error={assess.error} />}
          {assess.data && <Assessed assessment={assess.data} />}
        </div>
      </Stack>
    </form>
  );
}

function Assessed({ assessment: { score, threshold, is_high: isHigh, reasons } }: { readonly assessment: Assessment }) {
  const { t } = useTranslation("settings");
  return (
    <Stack gap="xs">
      <Group gap="xs">
        <Badge color="dark">{t(isHigh ? "approval" : "at_once")}</Badge>
        <Text size="sm">{t("score", { score, threshold })}</Text>
      </Group>
      {reasons.length > 0 && (
        <Table aria-label={t("why")}>
          <Table.Tbody>
            {reasons.map(({ rule, points, text }) => (
              <Table.Tr key={`${rule} ${text}`}>
                <Table.Td>{text}</Table.Td>
                <Table.Td ta="right">{points}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Stack>
  );
}
