import { Button, Card, Group, JsonInput, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";

export type NewTemplate = components["schemas"]["NewTemplate"];

interface TemplateFormProps {
  readonly initial: NewTemplate;
  readonly error: unknown;
  readonly isPending: boolean;
  readonly onSave: (template: NewTemplate) => void;
}

/** Commands and variables are JSON: what is wrong with them the hub says, by its path. */
export function TemplateForm({ initial, error, isPending, onSave }: TemplateFormProps) {
  const { t } = useTranslation("templates");
  const { name, description = "", category = "", actions, variables = [], tags = [] } = initial;
  const form = useForm({
    initialValues: {
      name,
      description,
      category,
      tags: tags.join(", "),
      actions: JSON.stringify(actions, null, 2),
      variables: JSON.stringify(variables, null, 2),
    },
    validate: { actions: (text) => (isList(text) ? null : t("no_list")), variables: (text) => (isList(text) ? null : t("no_list")) },
  });
  const save = (values: typeof form.values): void => {
    const labels = values.tags.split(/[\s,]+/).filter((tag) => tag !== "");
    onSave({
      name: values.name,
      ...(values.description === "" ? {} : { description: values.description }),
      ...(values.category === "" ? {} : { category: values.category }),
      ...(labels.length === 0 ? {} : { tags: labels }),
      actions: JSON.parse(values.actions),
      variables: JSON.parse(values.variables),
    });
  };
  return (
    <Card withBorder>
      <form onSubmit={form.onSubmit(save)}>
        <Stack>
          {error != null && <Failed error={error} />}
          <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />
          <TextInput label={t("description")} maxLength={1000} {...form.getInputProps("description")} />
          <TextInput label={t("category")} description={t("category_about")} maxLength={40} {...form.getInputProps("category")} />
          <TextInput label={t("tags")} description={t("tags_about")} {...form.getInputProps("tags")} />
          <JsonInput
            label={t("actions")}
            description={t("actions_about")}
            autosize
            minRows={6}
            maxRows={24}
            spellCheck={false}
            {...form.getInputProps("actions")}
          />
          <JsonInput
            label={t("variables")}
            description={t("variables_about")}
            autosize
            minRows={4}
            maxRows={24}
            spellCheck={false}
            {...form.getInputProps("variables")}
          />
          <Group justify="flex-end">
            <Button type="submit" loading={isPending}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function isList(text: string): boolean {
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}
