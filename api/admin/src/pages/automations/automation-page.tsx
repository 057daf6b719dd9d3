import { Button, Group, Tabs, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useTranslation } from "react-i18next";
import { useFormats } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { ifMatch, takeTagged } from "../../hub/tagged.ts";
import { Allowed, Editable } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { useConfirm } from "../../parts/confirm.tsx";
import { useErrorWords } from "../../parts/failed.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { useEdited } from "../definition/edited.tsx";
import { patchBetween } from "../definition/merge-patch.ts";
import { RunList, type RunsAsked } from "../definition/run-list.tsx";
import { Versions } from "../definition/versions.tsx";
import { type Automation, automationQuery, draftOf, type One } from "./automation.ts";
import { DraftForm } from "./draft-form.tsx";
import { EnabledSwitch } from "./enabled-switch.tsx";
import { Trial } from "./trial.tsx";

const TABS = ["definition", "test", "runs", "versions"] as const;

export function AutomationPage() {
  const { id } = useParams({ from: "/shell/automations/$id" });
  const query = useQuery(automationQuery(id));
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: { readonly one: One }) {
  const { automation, next_runs: nextRuns } = one.data;
  const { t } = useTranslation(["automations", "definition"]);
  const formats = useFormats();
  const { tab: wanted, status } = useSearch({ from: "/shell/automations/$id" });
  const navigate = useNavigate({ from: "/automations/$id" });
  const tab = TABS.find((name) => name === wanted) ?? "definition";
  const [next] = nextRuns;
  const runsOf = (query: RunsAsked) => take(hub.GET("/api/v1/automations/{id}/runs", { params: { path: { id: automation.id }, query } }));
  return (
    <Page title={automation.name} about={automation.description ?? undefined} actions={<Doings automation={automation} />}>
      <Group>
        <Text size="sm">
          {automation.last_fired_at === null
            ? t("never_fired")
            : t("fired_last", { what: t("fired_times", { when: formats.ago(automation.last_fired_at), count: automation.fire_count }) })}
        </Text>
        {next !== undefined && <Text size="sm">{t("next", { when: formats.dateTime(next) })}</Text>}
      </Group>
      <Tabs value={tab} onChange={(value) => void navigate({ search: { tab: value ?? undefined }, replace: true })} keepMounted={false}>
        <Tabs.List mb="md">
          {TABS.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {t(`tabs.${name}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="definition">
          <Editable need="automation.manage">
            <Edited one={one} />
          </Editable>
        </Tabs.Panel>
        <Tabs.Panel value="test">
          <Trial automation={automation} />
        </Tabs.Panel>
        <Tabs.Panel value="runs">
          <RunList
            name={["automations", "one", automation.id, "runs"]}
            ask={runsOf}
            status={status}
            onStatus={(value) => void navigate({ search: (before) => ({ ...before, status: value }), replace: true })}
          />
        </Tabs.Panel>
        <Tabs.Panel value="versions">
          <Former one={one} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Doings({ automation }: { readonly automation: Automation }) {
  const { t } = useTranslation("automations");
  const navigate = useNavigate();
  const words = useErrorWords();
  const confirm = useConfirm();
  const { id, name } = automation;
  const run = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/automations/{id}/run", { params: { path: { id } } })),
    onSuccess: () => navigate({ to: "/automations/$id", params: { id }, search: { tab: "runs" } }),
    onError: (error) => notifications.show({ color: "red", title: t("refused"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["automations"] }),
  });
  const ask = () => confirm({ title: t("run_now"), about: t("run_about"), onYes: () => run.mutate() });
  const remove = () => take(hub.DELETE("/api/v1/automations/{id}", { params: { path: { id }, header: ifMatch("*") } }));
  const onRemoved = async (): Promise<void> => {
    await navigate({ to: "/automations" });
    queries.removeQueries({ queryKey: ["automations", "one", id] });
    await queries.invalidateQueries({ queryKey: ["automations"] });
  };
  return (
    <>
      <EnabledSwitch automation={automation} />
      <Allowed need="device.control">
        <Button variant="default" leftSection={<Play size={16} aria-hidden />} loading={run.isPending} onClick={ask}>
          {t("run_now")}
        </Button>
      </Allowed>
      <Allowed need="automation.manage">
        <Removal name={name} remove={remove} onRemoved={onRemoved} />
      </Allowed>
    </>
  );
}

function Edited({ one }: { readonly one: One }) {
  const { t } = useTranslation("automations");
  const { id } = one.data.automation;
  const draftOfOne = ({ automation }: One["data"]) => draftOf(automation);
  const { key, form } = useEdited({
    one,
    queryKey: automationQuery(id).queryKey,
    draftOf: draftOfOne,
    send: (draft, { data, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/automations/{id}", {
          params: { path: { id }, header: ifMatch(tag) },
          body: patchBetween(draftOfOne(data), draft) as never,
        }),
      ),
  });
  return <DraftForm key={key} {...form} submit={t("shell:save")} />;
}

function Former({ one }: { readonly one: One }) {
  const { id, version } = one.data.automation;
  return (
    <Versions
      name={["automations", "one", id]}
      present={version}
      ask={(query) => take(hub.GET("/api/v1/automations/{id}/versions", { params: { path: { id }, query } }))}
      compare={(from, to) =>
        take(
          hub.GET("/api/v1/automations/{id}/versions/{version}/diff", {
            params: { path: { id, version: String(from) }, query: { to: String(to) } },
          }),
        )
      }
      restore={(former) =>
        take(
          hub.POST("/api/v1/automations/{id}/versions/{version}/restore", {
            params: { path: { id, version: String(former) }, header: ifMatch(one.tag) },
          }),
        )
      }
    />
  );
}
