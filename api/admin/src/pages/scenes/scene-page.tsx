import { Button, Card, Group, Stack, TextInput } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { ifMatch, type Tagged, takeTagged } from "../../hub/tagged.ts";
import { Asked } from "../../parts/asked.tsx";
import { Failed } from "../../parts/failed.tsx";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Page } from "../../parts/page.tsx";
import { CommandFields } from "../definition/command-fields.tsx";
import { CommandRows } from "../definition/command-rows.tsx";
import { type FormTerms, useEdited } from "../definition/edited.tsx";
import { isSame, patchBetween } from "../definition/merge-patch.ts";

type Draft = components["schemas"]["SceneRequest"];
type One = Tagged<components["schemas"]["OneScene"]>;

const sceneQuery = (id: string) =>
  queryOptions({
    queryKey: ["scenes", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/scenes/{id}", { params: { path: { id } } })),
  });

const draftOf = ({ scene: { name, description, commands } }: One["data"]): Draft => ({
  name,
  ...(description === null ? {} : { description }),
  commands,
});

export function ScenePage() {
  const { id } = useParams({ from: "/shell/scenes/$id" });
  const query = useQuery(sceneQuery(id));
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: { readonly one: One }) {
  const { t } = useTranslation(["scenes", "definition"]);
  const { id, name } = one.data.scene;
  const { key, form } = useEdited({
    one,
    queryKey: sceneQuery(id).queryKey,
    draftOf,
    send: (draft, { data, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/scenes/{id}", { params: { path: { id }, header: ifMatch(tag) }, body: patchBetween(draftOf(data), draft) }),
      ),
  });
  return (
    <Page title={name} about={t("edit_about")}>
      <SceneForm key={key} {...form} />
    </Page>
  );
}

function SceneForm({ initial, start = initial, error, isPending, onSubmit, notice }: FormTerms<Draft>) {
  const { t } = useTranslation(["scenes", "definition"]);
  const [draft, setDraft] = useState(start);
  const { name, description = "", commands } = draft;
  const written = withoutEmpty(draft);
  return (
    <Card withBorder maw={800}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit(written);
        }}
      >
        <Stack>
          <TextInput
            label={t("name")}
            required
            maxLength={120}
            value={name}
            onChange={({ currentTarget }) => setDraft({ ...draft, name: currentTarget.value })}
          />
          <TextInput
            label={t("description")}
            maxLength={1_000}
            value={description}
            onChange={({ currentTarget }) => setDraft({ ...draft, description: currentTarget.value })}
          />
          <CommandRows
            rows={commands}
            blank={{ device: "", command: { command: "set_relay", relay: 0, state: "ON" } }}
            onChange={(changed) => setDraft({ ...draft, commands: changed })}
          >
            {(row, onRow) => (
              <>
                <DeviceSelect
                  label={t("definition:field.device")}
                  required
                  value={row.device || undefined}
                  onChange={(device) => onRow({ ...row, device: device?.uid ?? "" })}
                />
                <CommandFields uid={row.device} value={row.command} onChange={(command) => onRow({ ...row, command })} />
              </>
            )}
          </CommandRows>
          {notice?.(written)}
          {error && <Failed error={error} />}
          <Group>
            <Button type="submit" loading={isPending} disabled={isSame(written, initial)}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function withoutEmpty({ description, ...draft }: Draft): Draft {
  return description ? { ...draft, description } : draft;
}
