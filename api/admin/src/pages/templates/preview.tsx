import { Button, Card, Group, JsonInput, NumberInput, Select, Stack, Switch, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";

type Template = components["schemas"]["Template"];
type Variable = components["schemas"]["TemplateVariable"];
type Values = Readonly<Record<string, unknown>>;

/** What it would do with these values; nothing is done. */
export function Preview({ template: { id, variables } }: { readonly template: Template }) {
  const { t } = useTranslation("templates");
  const [values, setValues] = useState<Values>({});
  const preview = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/templates/{id}/preview", { params: { path: { id } }, body: { variables: { ...values } } })),
  });
  const setValue = (name: string, value: unknown): void =>
    setValues((before) => {
      const { [name]: _former, ...others } = before;
      return value === "" || value === null ? others : { ...others, [name]: value };
    });
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("preview")}
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          preview.mutate();
        }}
      >
        <Stack>
          {variables.length === 0 && <Text size="sm">{t("no_variables")}</Text>}
          {variables.map((variable) => (
            <Field key={variable.name} variable={variable} onChange={(value) => setValue(variable.name, value)} />
          ))}
          <Group>
            <Button type="submit" loading={preview.isPending}>
              {t("show_preview")}
            </Button>
          </Group>
          {preview.isError && <Failed error={preview.error} />}
          {preview.data && (
            <div role="status" aria-label={t("preview")}>
              <JsonBlock value={preview.data.actions} />
            </div>
          )}
        </Stack>
      </form>
    </Card>
  );
}

function Field({ variable, onChange }: { readonly variable: Variable; readonly onChange: (value: unknown) => void }) {
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
