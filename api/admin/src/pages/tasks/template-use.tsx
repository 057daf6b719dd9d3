import { Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { VariableField, withVariable } from "../templates/variable-field.tsx";

interface TemplateUseProps {
  /** Its id; "": none */
  readonly value: string;
  readonly onChange: (id: string) => void;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly onVariables: (variables: Readonly<Record<string, unknown>>) => void;
}

const OFFERED = 50;
const TYPING_MS = 250;

/** A template, and what its placeholders stand for. */
export function TemplateUse({ value, onChange, variables, onVariables }: TemplateUseProps) {
  const { t } = useTranslation("tasks");
  const [typed, setTyped] = useState("");
  const [search] = useDebouncedValue(typed, TYPING_MS);
  const chosen = useQuery({
    queryKey: ["templates", "used", value],
    queryFn: () => take(hub.GET("/api/v1/templates/{id}", { params: { path: { id: value } } })),
    enabled: value !== "",
  });
  const template = value === "" ? undefined : chosen.data?.template;
  // The field holds the name of what was chosen, which is no search.
  const asked = search === template?.name ? "" : search;
  const offered = useQuery({
    queryKey: ["templates", "offered", asked],
    queryFn: () =>
      take(hub.GET("/api/v1/templates", { params: { query: { limit: OFFERED, ...(asked === "" ? {} : { search: asked }) } } })),
    placeholderData: keepPreviousData,
  });
  const names = new Map(offered.data?.data.map(({ id, name }) => [id, name]));
  if (template) names.set(template.id, template.name);
  return (
    <>
      <Select
        label={t("template")}
        placeholder={t("choose_template")}
        required
        searchable
        allowDeselect={false}
        nothingFoundMessage={t("no_template")}
        onSearchChange={setTyped}
        // The hub has searched already.
        filter={({ options }) => options}
        data={[...names].map(([id, name]) => ({ value: id, label: name }))}
        value={value === "" ? null : value}
        onChange={(id) => onChange(id ?? "")}
      />
      {template?.variables.map((variable) => (
        <VariableField
          key={`${template.id} ${variable.name}`}
          variable={variable}
          onChange={(filled) => onVariables(withVariable(variables, variable.name, filled))}
        />
      ))}
    </>
  );
}
