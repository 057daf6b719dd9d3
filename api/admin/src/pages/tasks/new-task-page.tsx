import { Button, Card, Group, NumberInput, SegmentedControl, Stack, Switch, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Failed } from "../../parts/failed.tsx";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Page } from "../../parts/page.tsx";
import { CommandFields } from "../definition/command-fields.tsx";
import { CommandRows } from "../definition/command-rows.tsx";
import { KINDS, NEW_TASK, type TaskValues, taskOf } from "./task-values.ts";
import { TemplateUse } from "./template-use.tsx";

interface FieldsProps {
  readonly values: TaskValues;
  readonly set: (change: Partial<TaskValues>) => void;
}

export function NewTaskPage() {
  const { t } = useTranslation(["tasks", "definition"]);
  const { device = "" } = useSearch({ from: "/shell/tasks/new" });
  const navigate = useNavigate();
  const [values, setValues] = useState<TaskValues>({ ...NEW_TASK, device });
  const set = (change: Partial<TaskValues>): void => setValues((before) => ({ ...before, ...change }));
  const make = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/tasks", { body: taskOf(values) })),
    async onSuccess({ task: { id } }) {
      await queries.invalidateQueries({ queryKey: ["tasks"] });
      await navigate({ to: "/tasks/$id", params: { id } });
    },
  });
  return (
    <Page title={t("new")} about={t("new_about")}>
      <Card withBorder maw={800}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <Stack>
            <Naming values={values} set={set} />
            <What values={values} set={set} />
            <Terms values={values} set={set} />
            {make.isError && <Failed error={make.error} />}
            <Group>
              <Button type="submit" loading={make.isPending}>
                {t("make")}
              </Button>
            </Group>
          </Stack>
        </form>
      </Card>
    </Page>
  );
}

function Naming({ values: { device, name, description }, set }: FieldsProps) {
  const { t } = useTranslation(["tasks", "definition"]);
  return (
    <>
      <DeviceSelect
        label={t("definition:field.device")}
        required
        value={device || undefined}
        onChange={(one) => set({ device: one?.uid ?? "" })}
      />
      <TextInput
        label={t("name")}
        placeholder={t("name_example")}
        required
        maxLength={200}
        value={name}
        onChange={({ currentTarget }) => set({ name: currentTarget.value })}
      />
      <TextInput
        label={t("description")}
        maxLength={1_000}
        value={description}
        onChange={({ currentTarget }) => set({ description: currentTarget.value })}
      />
    </>
  );
}

/** Commands, or a template that is filled in. */
function What({ values: { device, kind, actions, template, variables }, set }: FieldsProps) {
  const { t } = useTranslation("tasks");
  const id = useId();
  return (
    <>
      <div>
        <Text id={id} size="sm" fw={500} mb={4}>
          {t("what")}
        </Text>
        <SegmentedControl
          aria-labelledby={id}
          name="kind"
          data={KINDS.map((value) => ({ value, label: t(`kinds.${value}`) }))}
          value={kind}
          onChange={(next) => set({ kind: KINDS.find((one) => one === next) ?? "commands" })}
        />
      </div>
      {kind === "template" ? (
        <TemplateUse
          value={template}
          onChange={(chosen) => set({ template: chosen, variables: {} })}
          variables={variables}
          onVariables={(filled) => set({ variables: filled })}
        />
      ) : (
        <CommandRows rows={actions} blank={{ command: "set_relay", relay: 0, state: "ON" }} onChange={(rows) => set({ actions: rows })}>
          {(command, onCommand) => <CommandFields uid={device} value={command} onChange={onCommand} />}
        </CommandRows>
      )}
    </>
  );
}

/** How soon, how often, and how long. */
function Terms({ values: { priority, attempts, expiresH, tags, isDraft }, set }: FieldsProps) {
  const { t } = useTranslation("tasks");
  return (
    <>
      <Group grow align="flex-start" preventGrowOverflow={false}>
        <NumberInput
          label={t("priority")}
          description={t("priority_about")}
          min={0}
          max={9}
          allowDecimal={false}
          hideControls
          value={priority}
          onChange={(value) => set({ priority: typeof value === "number" ? value : "" })}
        />
        <NumberInput
          label={t("retries")}
          description={t("retries_about")}
          min={0}
          max={10}
          allowDecimal={false}
          hideControls
          value={attempts}
          onChange={(value) => set({ attempts: typeof value === "number" ? value : "" })}
        />
        <NumberInput
          label={t("expires_h")}
          description={t("expires_about")}
          min={0.01}
          max={720}
          hideControls
          value={expiresH}
          onChange={(value) => set({ expiresH: typeof value === "number" ? value : "" })}
        />
      </Group>
      <TagsInput
        label={t("tags")}
        description={t("tags_about")}
        maxTags={20}
        acceptValueOnBlur
        value={tags}
        onChange={(chosen) => set({ tags: chosen })}
      />
      <Switch label={t("draft")} checked={isDraft} onChange={({ currentTarget }) => set({ isDraft: currentTarget.checked })} />
    </>
  );
}
