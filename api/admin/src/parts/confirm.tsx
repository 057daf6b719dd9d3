import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useTranslation } from "react-i18next";

/** Asks before it is done. */
export function useConfirm(): (told: { readonly title: string; readonly about: string; readonly onYes: () => void }) => void {
  const { t } = useTranslation();
  return ({ title, about, onYes }) =>
    modals.openConfirmModal({
      title,
      children: <Text size="sm">{about}</Text>,
      labels: { confirm: title, cancel: t("cancel") },
      confirmProps: { color: "red" },
      closeButtonProps: { "aria-label": t("close") },
      onConfirm: onYes,
    });
}
