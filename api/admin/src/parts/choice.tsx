import { Select } from "@mantine/core";
import { useTranslation } from "react-i18next";

interface ChoiceProps {
  readonly label: string;
  readonly values: readonly { readonly value: string; readonly label: string }[];
  readonly value: string | undefined;
  /** "" when it is cleared */
  readonly onChange: (value: string) => void;
}

/** A filter by one of few; none of them: all. */
export function Choice({ label, values, value, onChange }: ChoiceProps) {
  const { t } = useTranslation();
  return (
    <Select
      label={label}
      placeholder={t("all")}
      clearable
      clearButtonProps={{ "aria-label": t("all") }}
      data={values}
      value={value ?? null}
      onChange={(wanted) => onChange(wanted ?? "")}
    />
  );
}
