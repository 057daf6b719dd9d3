import { Button } from "@mantine/core";
import type { UseMutationResult } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";

interface RestoreButtonProps {
  readonly version: number;
  readonly change: UseMutationResult<unknown, Error, number>;
}

/** The version of now stays among the former ones: nothing is lost. */
export function RestoreButton({ version, change }: RestoreButtonProps) {
  const { t } = useTranslation();
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={change.isPending && change.variables === version}
      onClick={() => change.mutate(version)}
    >
      {t("restore", { version })}
    </Button>
  );
}
