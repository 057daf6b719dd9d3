import { Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { queries } from "../hub/queries.ts";
import { RequestId, useErrorWords } from "./failed.tsx";

/** Does something, says why when it could not be done, and asks anew for all whose key begins with `key`. */
export function useChange<Input, Result>(key: string, run: (input: Input) => Promise<Result>, onDone?: (result: Result) => void) {
  const { t } = useTranslation();
  const words = useErrorWords();
  return useMutation({
    mutationFn: run,
    onSuccess: (result) => onDone?.(result),
    onError: (error) =>
      notifications.show({
        color: "red",
        title: t("failed.title"),
        message: (
          <>
            <Text size="sm">{words(error)}</Text>
            <RequestId error={error} />
          </>
        ),
        closeButtonProps: { "aria-label": t("close") },
      }),
    onSettled: () => queries.invalidateQueries({ queryKey: [key] }),
  });
}
