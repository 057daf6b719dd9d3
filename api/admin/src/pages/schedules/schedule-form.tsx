import { Button, Card, Grid, Group, Select, SimpleGrid, Stack, TextInput, Title } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "../../parts/failed.tsx";
import type { FormTerms } from "../definition/edited.tsx";
import { isSame } from "../definition/merge-patch.ts";
import { NodeList } from "../definition/node-editor.tsx";
import { Preview, RecurrenceFields } from "../definition/recurrence-fields.tsx";
import { type Draft, POLICIES } from "./schedule.ts";

interface ScheduleFormProps extends FormTerms<Draft> {
  readonly submit: string;
  readonly isNew?: boolean;
}

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
/** A list of all of them at once is slow to show. */
const MOST_ZONES = 50;

export function ScheduleForm({ initial, start = initial, submit, error, isPending, onSubmit, notice, isNew = false }: ScheduleFormProps) {
  const { t } = useTranslation("schedules");
  const [draft, setDraft] = useState(start);
  const { name, recurrence, actions, time_zone: timeZone, misfire } = draft;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit(draft);
      }}
    >
      <Stack>
        <TextInput
          label={t("name")}
          placeholder={t("name_example")}
          required
          maxLength={120}
          value={name}
          onChange={({ currentTarget }) => setDraft({ ...draft, name: currentTarget.value })}
        />
        <Card withBorder>
          <Title order={2} size="h4" mb="sm">
            {t("when")}
          </Title>
          <Grid>
            <Grid.Col span={{ base: 12, md: 8 }}>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <RecurrenceFields value={recurrence} onChange={(changed) => setDraft({ ...draft, recurrence: changed })} />
                <Select
                  label={t("zone")}
                  searchable
                  limit={MOST_ZONES}
                  placeholder={t("zone_of_site")}
                  allowDeselect={false}
                  data={timeZone !== undefined && !ZONES.includes(timeZone) ? [timeZone, ...ZONES] : ZONES}
                  value={timeZone ?? null}
                  onChange={(zone) => zone !== null && setDraft({ ...draft, time_zone: zone })}
                />
                <Select
                  label={t("missed")}
                  allowDeselect={false}
                  data={POLICIES.map((value) => ({ value, label: t(`policy.${value}`) }))}
                  value={misfire?.policy ?? "skip"}
                  onChange={(value) =>
                    setDraft({ ...draft, misfire: { ...misfire, policy: POLICIES.find((one) => one === value) ?? "skip" } })
                  }
                />
              </SimpleGrid>
            </Grid.Col>
            <Grid.Col span={{ base: 12, md: 4 }}>
              <Preview recurrence={recurrence} timeZone={timeZone} />
            </Grid.Col>
          </Grid>
        </Card>
        <Card withBorder>
          <Title order={2} size="h4" mb="sm">
            {t("then")}
          </Title>
          <NodeList role="action" nodes={actions} onChange={(changed) => setDraft({ ...draft, actions: changed })} />
        </Card>
        {notice?.(draft)}
        {error && <Failed error={error} />}
        <Group>
          <Button type="submit" loading={isPending} disabled={!isNew && isSame(draft, initial)}>
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
