import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useTranslation } from "react-i18next";

interface Question {
  readonly title: string;
  /** What follows from it. */
  readonly about: string;
  /** Of the button that does it; the title unless it is said. */
  readonly label?: string;
  /** Of what loses something. */
  readonly color?: "red";
  readonly onYes: () => void;
}

/** Asks before it is done. */
export function useConfirm(): (question: Question) => void {
  const { t } = useTranslation();
  return ({ title, about, label = title, color, onYes }) =>
    void modals.openConfirmModal({
      title,
      children: <Text size="sm">{about}</Text>,
      labels: { confirm: label, cancel: t("cancel") },
      ...(color && { confirmProps: { color } }),
      closeButtonProps: { "aria-label": t("close") },
      onConfirm: onYes,
    });
}
