import { Card, List, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { ifMatch, takeTagged } from "../../hub/tagged.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";
import { useChange } from "../../parts/change.tsx";
import { Removal } from "../../parts/removal.tsx";
import { RestoreButton } from "../../parts/restore-button.tsx";
import { inWords } from "./condition.ts";
import { RuleForm } from "./rule-form.tsx";
import { NEW_RULE, type NewRule, patchOf, valuesOf } from "./rule-values.ts";

type Rule = components["schemas"]["AlertRule"];
interface ShownProps {
  readonly rule: Rule;
  readonly tag: string;
}
const SHOWN = 20;
const invalidate = () => queries.invalidateQueries({ queryKey: ["alert-rules"] });

export function NewAlertRulePage() {
  const { t } = useTranslation("alerts");
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: (body: NewRule) => take(hub.POST("/api/v1/alert-rules", { body })),
    async onSuccess() {
      await invalidate();
      await navigate({ to: "/alerts/rules" });
    },
  });
  return (
    <Page title={t("new_rule")} about={t("new_rule_about")}>
      <RuleForm initial={NEW_RULE} error={make.error} isPending={make.isPending} onSave={make.mutate} />
    </Page>
  );
}

export function AlertRulePage() {
  const { id } = useParams({ from: "/shell/alerts/rules/$id" });
  const query = useQuery({
    queryKey: ["alert-rules", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/alert-rules/{id}", { params: { path: { id } } })),
  });
  return <Asked query={query}>{({ data: { rule }, tag }) => <Shown rule={rule} tag={tag} />}</Asked>;
}

function Shown({ rule, tag }: ShownProps) {
  const { t } = useTranslation("alerts");
  const navigate = useNavigate();
  const path = { params: { path: { id: rule.id }, header: ifMatch(tag) } };
  const save = useMutation({
    mutationFn: (next: NewRule) => take(hub.PATCH("/api/v1/alert-rules/{id}", { ...path, body: patchOf(rule, next) })),
    onSuccess: invalidate,
  });
  // Nobody asks for what is gone.
  const leave = async (): Promise<void> => {
    await navigate({ to: "/alerts/rules" });
    for (const part of ["one", "versions"]) queries.removeQueries({ queryKey: ["alert-rules", part, rule.id] });
    await invalidate();
  };
  return (
    <Page
      title={rule.name}
      about={inWords(t, rule.condition)}
      actions={<Removal name={rule.name} remove={() => take(hub.DELETE("/api/v1/alert-rules/{id}", path))} onRemoved={leave} />}
    >
      <Stack>
        <RuleForm key={rule.version} initial={valuesOf(rule)} error={save.error} isPending={save.isPending} onSave={save.mutate} />
        <Versions rule={rule} tag={tag} />
      </Stack>
    </Page>
  );
}

function Versions({ rule, tag }: ShownProps) {
  const { t } = useTranslation("alerts");
  const formats = useFormats();
  const query = useQuery({
    queryKey: ["alert-rules", "versions", rule.id],
    queryFn: () => take(hub.GET("/api/v1/alert-rules/{id}/versions", { params: { path: { id: rule.id }, query: { limit: SHOWN } } })),
  });
  const restore = useChange("alert-rules", (version: number) =>
    take(
      hub.POST("/api/v1/alert-rules/{id}/versions/{version}/restore", {
        params: { path: { id: rule.id, version: String(version) }, header: ifMatch(tag) },
      }),
    ),
  );
  return (
    <Card withBorder maw={640}>
      <Title order={2} size="h4" mb="sm">
        {t("versions")}
      </Title>
      <Asked query={query}>
        {({ data }) => (
          <List size="sm" spacing="xs">
            {data.map(({ version, name, changed_at: at, definition }) => (
              <List.Item key={version}>
                <Text size="sm">
                  {version}: {name}, {inWords(t, definition.condition)} ({formats.dateTime(at)})
                </Text>
                {version !== rule.version && <RestoreButton version={version} change={restore} />}
              </List.Item>
            ))}
          </List>
        )}
      </Asked>
    </Card>
  );
}
