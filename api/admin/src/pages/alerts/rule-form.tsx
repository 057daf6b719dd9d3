import { Alert, Button, Card, Group, JsonInput, NumberInput, SegmentedControl, Select, Stack, Text, TextInput } from "@mantine/core";
import { type UseFormReturnType, useForm } from "@mantine/form";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { DeviceSelect } from "../../parts/device-select.tsx";
import { Failed } from "../../parts/failed.tsx";
import type { FormTerms } from "../definition/edited.tsx";
import { isSame } from "../definition/merge-patch.ts";
import { KINDS, NEW_RULE, type NewRule, parsedRule, type RuleValues, ruleOf, valuesOf, writtenOf } from "./rule-values.ts";
import { SEVERITIES } from "./severity.tsx";

interface RuleFormProps extends Omit<FormTerms<NewRule>, "initial"> {
  /** undefined of a new one */
  readonly initial?: NewRule;
}

/** A threshold or a device that is away, by fields; every other rule as the JSON of the hub's own. */
export function RuleForm({ initial, start = initial, error, isPending, onSubmit, notice }: RuleFormProps) {
  const { t } = useTranslation("alerts");
  const id = useId();
  const form = useForm<RuleValues>({
    initialValues: start ? valuesOf(start) : NEW_RULE,
    validate: {
      above: (_, { kind, above, below }) => (kind === "threshold" && above === "" && below === "" ? t("a_bound") : null),
      json: (json, { kind }) => (kind === "json" && parsedRule(json) === undefined ? t("no_json") : null),
    },
  });
  const { kind } = form.values;
  const written = writtenOf(form.values);
  // What stands in the fields goes along; the other way it may not fit in them.
  const setKind = (next: string): void => {
    if (next === "json" && kind !== "json") form.setFieldValue("json", JSON.stringify(ruleOf(form.values), null, 2));
    form.setFieldValue("kind", KINDS.find((one) => one === next) ?? "threshold");
  };
  return (
    <Card withBorder maw={640}>
      <form onSubmit={form.onSubmit(() => written && onSubmit(written))}>
        <Stack>
          <div>
            <Text id={id} size="sm" fw={500} mb={4}>
              {t("kind")}
            </Text>
            <SegmentedControl
              aria-labelledby={id}
              orientation="vertical"
              fullWidth
              name="kind"
              data={KINDS.map((value) => ({ value, label: t(`kinds.${value}`) }))}
              value={kind}
              onChange={setKind}
            />
          </div>
          {kind === "json" ? (
            <>
              <Alert color="gray">{t("json_about")}</Alert>
              <JsonInput label={t("json")} autosize minRows={10} maxRows={30} spellCheck={false} {...form.getInputProps("json")} />
            </>
          ) : (
            <Fields form={form} />
          )}
          {notice?.(written)}
          {error && <Failed error={error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={isPending} disabled={initial !== undefined && written !== undefined && isSame(written, initial)}>
              {t("shell:save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function Fields({ form }: { readonly form: Pick<UseFormReturnType<RuleValues>, "values" | "getInputProps" | "setFieldValue"> }) {
  const { t } = useTranslation("alerts");
  return (
    <>
      <TextInput label={t("name")} required maxLength={120} {...form.getInputProps("name")} />
      <DeviceSelect
        label={t("device")}
        placeholder={t("any_device")}
        value={form.values.device || undefined}
        onChange={(device) => form.setFieldValue("device", device?.uid ?? "")}
      />
      {form.values.kind === "threshold" && (
        <>
          <TextInput
            label={t("key")}
            description={t("key_about")}
            placeholder="temperature"
            required
            pattern="[a-z][a-z0-9_]{0,63}"
            {...form.getInputProps("key")}
          />
          <Group grow align="flex-start">
            <NumberInput label={t("above")} hideControls {...form.getInputProps("above")} />
            <NumberInput label={t("below")} hideControls {...form.getInputProps("below")} />
          </Group>
        </>
      )}
      <Select
        label={t("severity")}
        allowDeselect={false}
        data={SEVERITIES.map((value) => ({ value, label: t(`severities.${value}`) }))}
        {...form.getInputProps("severity")}
      />
      <NumberInput label={t("for_s")} description={t("for_s_about")} hideControls min={0} {...form.getInputProps("forS")} />
    </>
  );
}
