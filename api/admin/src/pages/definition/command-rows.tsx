import { Button, Fieldset, Group, SimpleGrid, Stack } from "@mantine/core";
import { Plus, Trash2 } from "lucide-react";
import { type ReactNode, useId } from "react";
import { useTranslation } from "react-i18next";

interface RowsProps<T> {
  readonly rows: readonly T[];
  /** What another one begins with. */
  readonly blank: T;
  readonly onChange: (rows: T[]) => void;
  readonly children: (row: T, onRow: (changed: T) => void) => ReactNode;
}

/** Commands, one below the other: at least one. */
export function CommandRows<T>({ rows, blank, onChange, children }: RowsProps<T>) {
  const { t } = useTranslation("definition");
  const id = useId();
  return (
    <Stack gap="sm">
      {rows.map((row, index) => {
        const title = t("one_command", { number: index + 1 });
        return (
          // They have no names of their own, and none moves.
          <Fieldset key={`${id}${index}`} legend={title} miw={0}>
            <SimpleGrid cols={{ base: 1, sm: 2 }}>{children(row, (changed) => onChange(rows.with(index, changed)))}</SimpleGrid>
            {rows.length > 1 && (
              <Group justify="flex-end" mt="sm">
                <Button
                  size="xs"
                  variant="default"
                  leftSection={<Trash2 size={14} aria-hidden />}
                  onClick={() => onChange(rows.toSpliced(index, 1))}
                  aria-label={t("take_out", { what: title })}
                >
                  {t("shell:remove")}
                </Button>
              </Group>
            )}
          </Fieldset>
        );
      })}
      <Group>
        <Button size="xs" variant="default" leftSection={<Plus size={14} aria-hidden />} onClick={() => onChange([...rows, blank])}>
          {t("add_command")}
        </Button>
      </Group>
    </Stack>
  );
}
