import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type QueryKey, useMutation } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { Tagged } from "../../hub/tagged.ts";
import { isSame, patchBetween, patched } from "./merge-patch.ts";

/** Of a form that makes or changes something. */
export interface FormTerms<D> {
  /** What it says. */
  readonly initial: D;
  /** What the fields begin with, where it is something else. */
  readonly start?: D;
  readonly error: Error | null;
  readonly isPending: boolean;
  readonly onSubmit: (draft: D) => void;
  /** What stands above the form's button; undefined is written while it cannot be read. */
  readonly notice?: (written: D | undefined) => ReactNode;
}

interface EditedTerms<T, D> {
  /** As the hub has it now. */
  readonly one: Tagged<T>;
  readonly queryKey: QueryKey;
  /** What people write of it. */
  readonly draftOf: (data: T) => D;
  readonly send: (draft: D, base: Tagged<T>) => Promise<Tagged<T>>;
}

/** What is being written stays, whoever else changes it meanwhile; the form begins anew with each `key`. */
export function useEdited<T, D extends object>({ one, queryKey, draftOf, send }: EditedTerms<T, D>) {
  const { t } = useTranslation("definition");
  const [{ count, base, start }, setEdition] = useState(() => ({ count: 0, base: one, start: draftOf(one.data) }));
  const initial = draftOf(base.data);
  const isOld = !isSame(draftOf(one.data), initial);
  const save = useMutation({
    // The tag may be of something that nobody writes here.
    mutationFn: (draft: D) => send(draft, isOld ? base : one),
    async onSuccess(saved) {
      notifications.show({ message: t("edited.saved"), closeButtonProps: { "aria-label": t("shell:close") } });
      queries.setQueryData(queryKey, saved);
      load(saved, draftOf(saved.data));
      await queries.invalidateQueries({ queryKey: queryKey.slice(0, 1) });
    },
    onError: (error) => (isConflict(error) ? queries.invalidateQueries({ queryKey }) : undefined),
  });
  const load = (next: Tagged<T>, draft: D): void => {
    save.reset();
    setEdition({ count: count + 1, base: next, start: draft });
  };
  const notice = (written: D | undefined): ReactNode => {
    if (!isOld || save.isPending) return null;
    const present = draftOf(one.data);
    return (
      <ChangedMeanwhile
        isWritten={written === undefined || !isSame(written, initial)}
        onDrop={() => load(one, present)}
        onKeep={written && (() => load(one, patched(present, patchBetween(initial, written)) as D))}
      />
    );
  };
  const error = isOld && isConflict(save.error) ? null : save.error;
  const form: FormTerms<D> = { initial, start, error, isPending: save.isPending, onSubmit: (draft) => save.mutate(draft), notice };
  return { key: count, form };
}

const isConflict = (error: unknown): boolean => error instanceof ApiError && (error.status === 412 || error.status === 409);

interface ChangedProps {
  readonly isWritten: boolean;
  readonly onDrop: () => void;
  readonly onKeep: (() => void) | undefined;
}

/** Where nothing was written, the new one is simply shown. */
function ChangedMeanwhile({ isWritten, onDrop, onKeep }: ChangedProps) {
  const { t } = useTranslation("definition");
  useEffect(() => {
    if (!isWritten) onDrop();
  }, [isWritten]);
  if (!isWritten) return null;
  return (
    <Alert color="yellow" role="status" title={t("edited.changed")}>
      <Stack gap="xs">
        <Text size="sm">{t("edited.changed_about")}</Text>
        <Group gap="xs">
          {onKeep && (
            <Button size="xs" variant="default" onClick={onKeep}>
              {t("edited.keep")}
            </Button>
          )}
          <Button size="xs" variant="default" onClick={onDrop}>
            {t("edited.drop")}
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}
