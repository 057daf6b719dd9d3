import "./undoable.css";
import { Button, type ButtonProps, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";
import { HELD_MS, hold, type Removal, takeBack, useHeld } from "../hub/held.ts";
import { useTellFailure } from "./failed.tsx";

interface Undoable extends Omit<Removal, "onEnd"> {
  /** What is done, and to what. */
  readonly title: string;
  /** What follows from it. */
  readonly about: string;
}

/** Does at once what can be taken back for a while, instead of asking first. */
export function useUndoable(): (undoable: Undoable) => void {
  const { t } = useTranslation();
  const tellFailure = useTellFailure();
  return ({ title, about, ...removal }) => {
    const { id } = removal;
    hold({
      ...removal,
      onEnd(refusal) {
        notifications.hide(id);
        if (refusal !== undefined) tellFailure(refusal, { title, autoClose: false });
      },
    });
    notifications.show({
      id,
      title,
      message: <Notice id={id} about={about} />,
      autoClose: false,
      closeButtonProps: { "aria-label": t("close") },
    });
  };
}

function Notice({ id, about }: { readonly id: string; readonly about: string }) {
  const { t } = useTranslation();
  const state = useHeld(id);
  return (
    <Stack gap="xs" align="flex-start">
      <Text size="sm">
        {t("held", { seconds: HELD_MS / 1_000 })} {about}
      </Text>
      <Button size="compact-sm" variant="default" loading={state !== "waiting"} onClick={() => takeBack(id)}>
        {t("undo")}
      </Button>
    </Stack>
  );
}

interface UndoableButtonProps extends Omit<Undoable, "title"> {
  readonly label: string;
  /** What it is, where a column of buttons has the same label. */
  readonly what: string;
  readonly button?: ButtonProps;
}

/** The same button takes it back: whoever works by keyboard is there already. */
export function UndoableButton({ label, what, button, ...removal }: UndoableButtonProps) {
  const { t } = useTranslation();
  const begin = useUndoable();
  const state = useHeld(removal.id);
  const title = `${label}: ${what}`;
  const isGoing = state !== undefined;
  return (
    <Button
      size="compact-sm"
      variant="default"
      {...button}
      data-going={isGoing || undefined}
      loading={state === "sending"}
      aria-label={isGoing ? `${t("undo")}: ${title}` : title}
      onClick={({ detail }) => {
        if (!isGoing) begin({ ...removal, title });
        // The second one of a double click was meant for the first.
        else if (detail < 2) takeBack(removal.id);
      }}
    >
      {isGoing ? t("undo") : label}
    </Button>
  );
}
