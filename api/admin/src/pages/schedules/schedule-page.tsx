import { Button, Tabs } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useTranslation } from "react-i18next";
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
import { isSame, patchBetween } from "../definition/merge-patch.ts";
import { RunList, type RunsAsked } from "../definition/run-list.tsx";
import { Versions } from "../definition/versions.tsx";
import { useRecurrenceWords } from "../definition/words.ts";
import { ActiveSwitch } from "./active-switch.tsx";
import { type Draft, draftOf, type One, type Schedule, scheduleQuery, writtenOf } from "./schedule.ts";
import { ScheduleForm } from "./schedule-form.tsx";

const TABS = ["definition", "history", "versions"] as const;

export function SchedulePage() {
  const { id } = useParams({ from: "/shell/schedules/$id" });
  const query = useQuery(scheduleQuery(id));
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: { readonly one: One }) {
  const { t } = useTranslation(["schedules", "definition"]);
  const words = useRecurrenceWords();
  const { schedule } = one.data;
  const { tab: wanted, status } = useSearch({ from: "/shell/schedules/$id" });
  const navigate = useNavigate({ from: "/schedules/$id" });
  const tab = TABS.find((name) => name === wanted) ?? "definition";
  const runsOf = (query: RunsAsked) => take(hub.GET("/api/v1/schedules/{id}/runs", { params: { path: { id: schedule.id }, query } }));
  return (
    <Page title={schedule.name} about={words(schedule.recurrence)} actions={<Doings schedule={schedule} />}>
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
        <Tabs.Panel value="history">
          <RunList
            name={["schedules", "one", schedule.id, "runs"]}
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

function Doings({ schedule }: { readonly schedule: Schedule }) {
  const { t } = useTranslation("schedules");
  const navigate = useNavigate();
  const words = useErrorWords();
  const confirm = useConfirm();
  const { id, name } = schedule;
  const run = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/schedules/{id}/run", { params: { path: { id } } })),
    onSuccess: () => navigate({ to: "/schedules/$id", params: { id }, search: { tab: "history" } }),
    onError: (error) => notifications.show({ color: "red", title: t("refused"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["schedules"] }),
  });
  const ask = () => confirm({ title: t("run_now"), about: t("run_about"), onYes: () => run.mutate() });
  const remove = () => take(hub.DELETE("/api/v1/schedules/{id}", { params: { path: { id }, header: ifMatch("*") } }));
  const onRemoved = async (): Promise<void> => {
    await navigate({ to: "/schedules" });
    queries.removeQueries({ queryKey: ["schedules", "one", id] });
    await queries.invalidateQueries({ queryKey: ["schedules"] });
  };
  return (
    <>
      <ActiveSwitch schedule={schedule} />
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
  const { t } = useTranslation("schedules");
  const { id } = one.data.schedule;
  const { key, form } = useEdited({
    one,
    queryKey: scheduleQuery(id).queryKey,
    draftOf: ({ schedule }: One["data"]) => draftOf(schedule),
    send: (draft, { data: { schedule }, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/schedules/{id}", {
          params: { path: { id }, header: ifMatch(tag) },
          body: patchBetween(writtenOf(schedule), sentOf(schedule, draft)) as never,
        }),
      ),
  });
  return <ScheduleForm key={key} {...form} submit={t("shell:save")} />;
}

/** The short form for one device stays until there is more to it. */
function sentOf(schedule: Schedule, draft: Draft): object {
  const { actions, ...rest } = draft;
  const isShort = schedule.device !== undefined && isSame(actions, draftOf(schedule).actions);
  return isShort ? { ...rest, device: schedule.device, command: schedule.command } : draft;
}

function Former({ one }: { readonly one: One }) {
  const { id, version } = one.data.schedule;
  return (
    <Versions
      name={["schedules", "one", id]}
      present={version}
      ask={(query) => take(hub.GET("/api/v1/schedules/{id}/versions", { params: { path: { id }, query } }))}
      compare={(from, to) =>
        take(
          hub.GET("/api/v1/schedules/{id}/versions/{version}/diff", {
            params: { path: { id, version: String(from) }, query: { to: String(to) } },
          }),
        )
      }
      restore={(former) =>
        take(
          hub.POST("/api/v1/schedules/{id}/versions/{version}/restore", {
            params: { path: { id, version: String(former) }, header: ifMatch(one.tag) },
          }),
        )
      }
    />
  );
}
