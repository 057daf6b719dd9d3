import { Button, Card, Group, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import type { components } from "../../hub/schema.d.ts";
import { Failed } from "../../parts/failed.tsx";
import { JsonBlock } from "../../parts/json-block.tsx";
import { type Values, VariableField, withVariable } from "./variable-field.tsx";

type Template = components["schemas"]["Template"];

/** What it would do with these values; nothing is done. */
export function Preview({ template: { id, variables } }: { readonly template: Template }) {
  const { t } = useTranslation("templates");
  const [values, setValues] = useState<Values>({});
  const preview = useMutation({
    mutationFn: () => take(hub.POST("/api/v1/templates/{id}/preview", { params: { path: { id } }, body: { variables: { ...values } } })),
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
            <VariableField
              key={variable.name}
              variable={variable}
              onChange={(value) => setValues((before) => withVariable(before, variable.name, value))}
            />
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
