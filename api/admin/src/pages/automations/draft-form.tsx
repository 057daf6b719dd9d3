import { Button, Card, Group, NumberInput, SegmentedControl, Select, Stack, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Failed } from "../../parts/failed.tsx";
import type { FormTerms } from "../definition/edited.tsx";
import { isSame } from "../definition/merge-patch.ts";
import { NodeEditor, NodeList } from "../definition/node-editor.tsx";
import { newNode } from "../definition/nodes.ts";
import { type Definition, definitionOf, type Draft, MODES } from "./automation.ts";

interface DraftFormProps extends FormTerms<Draft> {
  readonly submit: string;
  /** A new one can be sent as it is. */
  readonly isNew?: boolean;
}

const VIEWS = ["form", "json"] as const;

/** The same definition twice: in fields, and as the JSON that has all of it. */
export function DraftForm({ initial, start = initial, submit, error, isPending, onSubmit, notice, isNew = false }: DraftFormProps) {
  const { t } = useTranslation("automations");
  const [draft, setDraft] = useState(start);
  const [view, setView] = useState<(typeof VIEWS)[number]>("form");
  const [text, setText] = useState("");
  const written = view === "json" ? parsed(text) : draft;
  const whole = written && { ...draft, ...withoutOld(draft), ...written };
  const show = (next: string): void => {
    if (next === "json") setText(JSON.stringify(definitionOf(draft), null, 2));
    else if (whole) setDraft(whole);
    setView(next === "json" ? "json" : "form");
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (whole) onSubmit(whole);
      }}
    >
      <Stack>
        <Naming draft={draft} onChange={setDraft} />
        <Group>
          <SegmentedControl
            aria-label={t("view")}
            data={VIEWS.map((value) => ({ value, label: t(value), disabled: view === "json" && !whole }))}
            value={view}
            onChange={show}
          />
        </Group>
        {view === "form" ? (
          <DefinitionFields draft={draft} onChange={setDraft} />
        ) : (
          <Textarea
            label={t("json")}
            description={t("json_about")}
            autosize
            minRows={12}
            spellCheck={false}
            error={whole ? undefined : t("no_json")}
            value={text}
            onChange={({ currentTarget }) => setText(currentTarget.value)}
            styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          />
        )}
        {notice?.(whole)}
        {error && <Failed error={error} />}
        <Group>
          <Button type="submit" loading={isPending} disabled={!whole || (!isNew && isSame(whole, initial))}>
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What the text does not say any more is gone. */
const withoutOld = (draft: Draft): Partial<Draft> => Object.fromEntries(Object.keys(definitionOf(draft)).map((name) => [name, undefined]));

function parsed(text: string): Definition | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Definition) : undefined;
  } catch {
    return undefined;
  }
}

interface PartProps {
  readonly draft: Draft;
  readonly onChange: (draft: Draft) => void;
}

function Naming({ draft, onChange }: PartProps) {
  const { t } = useTranslation("automations");
  return (
    <Group align="flex-start" grow preventGrowOverflow={false}>
      <TextInput
        label={t("name")}
        placeholder={t("name_example")}
        required
        maxLength={120}
        value={draft.name}
        onChange={({ currentTarget }) => onChange({ ...draft, name: currentTarget.value })}
      />
      <TextInput
        label={t("description")}
        maxLength={1_000}
        value={draft.description ?? ""}
        onChange={({ currentTarget }) => onChange(withValue(draft, "description", currentTarget.value || undefined))}
      />
    </Group>
  );
}

function withValue<K extends keyof Draft>(draft: Draft, name: K, value: Draft[K] | undefined): Draft {
  const { [name]: _before, ...rest } = draft;
  return (value === undefined ? rest : { ...rest, [name]: value }) as Draft;
}

function DefinitionFields({ draft, onChange }: PartProps) {
  const { t } = useTranslation("automations");
  const { condition } = draft;
  return (
    <>
      <Section title={t("when")} about={t("when_about")}>
        <NodeList role="trigger" nodes={draft.triggers ?? []} onChange={(triggers) => onChange({ ...draft, triggers })} />
      </Section>
      <Section title={t("if")} about={t("if_about")}>
        {condition ? (
          <NodeEditor
            role="condition"
            title={t("condition")}
            node={condition}
            onChange={(changed) => onChange({ ...draft, condition: changed })}
            onRemove={() => onChange(withValue(draft, "condition", undefined))}
          />
        ) : (
          <Group>
            <Button size="xs" variant="default" onClick={() => onChange({ ...draft, condition: newNode("condition", "time_window") })}>
              {t("add_condition")}
            </Button>
          </Group>
        )}
      </Section>
      <Section title={t("then")} about={t("then_about")}>
        <NodeList role="action" nodes={draft.actions ?? []} onChange={(actions) => onChange({ ...draft, actions })} />
      </Section>
      <Group align="flex-start" grow preventGrowOverflow={false}>
        <Select
          label={t("mode")}
          allowDeselect={false}
          data={MODES.map((value) => ({ value, label: t(`modes.${value}`) }))}
          value={draft.mode ?? "skip"}
          onChange={(value) => onChange({ ...draft, mode: MODES.find((one) => one === value) ?? "skip" })}
        />
        <NumberInput
          label={t("cooldown")}
          min={0}
          max={2_592_000}
          hideControls
          value={draft.cooldown_s ?? ""}
          onChange={(value) => onChange(withValue(draft, "cooldown_s", typeof value === "number" ? value : undefined))}
        />
      </Group>
    </>
  );
}

function Section({ title, about, children }: { readonly title: string; readonly about: string; readonly children: React.ReactNode }) {
  return (
    <Card withBorder>
      <Stack gap="sm">
        <div>
          <Title order={2} size="h4">
            {title}
          </Title>
          <Text size="sm" c="dimmed">
            {about}
          </Text>
        </div>
        {children}
      </Stack>
    </Card>
  );
}
