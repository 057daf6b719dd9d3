import { JsonInput, NumberInput, Select, Switch, TextInput } from "@mantine/core";
import { useState } from "react";
import type { components } from "../../hub/schema.d.ts";

type Variable = components["schemas"]["TemplateVariable"];
export type Values = Readonly<Record<string, unknown>>;

/** What was emptied is not given. */
export function withVariable(values: Values, name: string, value: unknown): Values {
  const { [name]: _former, ...others } = values;
  return value === "" || value === null ? others : { ...others, [name]: value };
}

export function VariableField({ variable, onChange }: { readonly variable: Variable; readonly onChange: (value: unknown) => void }) {
  const { name, type, label = name, description = "", values = [] } = variable;
  const preset: unknown = variable.default;
  const [text, setText] = useState("");
  const common = { label, description, placeholder: preset === undefined ? "" : JSON.stringify(preset) };
  switch (type) {
    case "number":
    case "integer":
    case "duration":
      return <NumberInput {...common} hideControls allowDecimal={type !== "integer"} onChange={onChange} />;
    case "boolean":
      return (
        <Switch
          label={label}
          description={description}
          defaultChecked={preset === true}
          onChange={({ currentTarget }) => onChange(currentTarget.checked)}
        />
      );
    case "enum":
      return (
        <Select
          {...common}
          data={values.map(String)}
          onChange={(chosen) => onChange(values.find((one) => String(one) === chosen) ?? null)}
        />
      );
    case "object":
      return (
        <JsonInput
          {...common}
          value={text}
          autosize
          minRows={3}
          onChange={(json) => {
            setText(json);
            onChange(parsed(json));
          }}
        />
      );
    default:
      return <TextInput {...common} onChange={({ currentTarget }) => onChange(currentTarget.value)} />;
  }
}

/** What is no JSON yet goes as it is: the hub says that it is no object. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}
