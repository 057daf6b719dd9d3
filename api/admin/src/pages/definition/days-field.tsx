import { Checkbox, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { WEEKDAYS, type Weekday, weekdayName } from "./recurrence.ts";

interface DaysFieldProps {
  readonly value: readonly Weekday[];
  readonly onChange: (days: Weekday[]) => void;
  readonly description?: string;
}

export function DaysField({ value, onChange, description }: DaysFieldProps) {
  const { t, i18n } = useTranslation("definition");
  return (
    <Checkbox.Group
      label={t("field.days")}
      {...(description === undefined ? {} : { description })}
      value={[...value]}
      onChange={(days) => onChange(WEEKDAYS.filter((day) => days.includes(day)))}
    >
      <Group gap="sm" mt={4}>
        {WEEKDAYS.map((day) => (
          <Checkbox key={day} value={day} label={weekdayName(i18n.language, day)} />
        ))}
      </Group>
    </Checkbox.Group>
  );
}
