import { Button, Card, Group, JsonInput, Stack, Switch, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useTranslation } from "react-i18next";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";
import type { FormTerms } from "../definition/edited.tsx";
import { isSame } from "../definition/merge-patch.ts";

export type NewTemplate = components["schemas"]["NewTemplate"];

interface TemplateFormProps extends FormTerms<NewTemplate> {
  /** A new one can be sent as it is. */
  readonly isNew?: boolean;
}

/** Commands and variables are JSON: what is wrong with them the hub says, by its path. */
export function TemplateForm({ initial, start = initial, error, isPending, onSubmit, notice, isNew = false }: TemplateFormProps) {
  const { t } = useTranslation("templates");
  const { name, description = "", category = "", actions, variables = [], tags = [], is_public: isPublic = false } = start;
  const form = useForm({
    initialValues: {
      name,
      description,
      category,
      tags: tags.join(", "),
      isPublic,
      actions: JSON.stringify(actions, null, 2),
      variables: JSON.stringify(variables, null, 2),
    },
    validate: { actions: (text) => (isList(text) ? null : t("no_list")), variables: (text) => (isList(text) ? null : t("no_list")) },
  });
  const written = writtenOf(form.values);
  return (
    <Card withBorder>
      <form onSubmit={form.onSubmit(() => written && onSubmit(written))}>
        <Stack>
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
          <Switch label={t("is_public")} {...form.getInputProps("isPublic", { type: "checkbox" })} />
          {notice?.(written)}
          {error && <Failed error={error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={isPending} disabled={!isNew && written !== undefined && isSame(written, initial)}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

interface Values {
  readonly name: string;
  readonly description: string;
  readonly category: string;
  readonly tags: string;
  readonly isPublic: boolean;
  readonly actions: string;
  readonly variables: string;
}

/** undefined while a list is none. */
function writtenOf({ name, description, category, tags, isPublic, actions, variables }: Values): NewTemplate | undefined {
  if (!isList(actions) || !isList(variables)) return undefined;
  const labels = tags.split(/[\s,]+/).filter((tag) => tag !== "");
  return {
    name,
    ...(description === "" ? {} : { description }),
    ...(category === "" ? {} : { category }),
    ...(labels.length === 0 ? {} : { tags: labels }),
    actions: JSON.parse(actions),
    variables: JSON.parse(variables),
    is_public: isPublic,
  };
}

function isList(text: string): boolean {
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}
