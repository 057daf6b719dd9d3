import { Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { RequestId, useErrorWords } from "../../parts/failed.tsx";

export type Request = components["schemas"]["CommandRequest"];

/** Under way until the device has answered; what came of it is told. */
export function useCommand(uid: string) {
  const { t } = useTranslation("device");
  const words = useErrorWords();
  return useMutation({
    mutationFn: (body: Request) => take(hub.POST("/api/v1/devices/{id}/commands", { params: { path: { id: uid } }, body })),
    onSuccess({ status }) {
      if (status === "awaiting_confirmation") notifications.show({ message: t("waiting") });
      if (status === "queued") notifications.show({ message: t("queued") });
    },
    onError: (error) =>
      notifications.show({
        color: "red",
        title: t("refused"),
        message: (
          <>
            <Text size="sm">{words(error)}</Text>
            <RequestId error={error} />
          </>
        ),
        closeButtonProps: { "aria-label": t("shell:close") },
      }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["devices"] }),
  });
}
