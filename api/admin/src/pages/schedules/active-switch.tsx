import { Switch } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import { ifMatch } from "../../hub/tagged.ts";
import { useErrorWords } from "../../parts/failed.tsx";
import type { Schedule } from "./schedule.ts";

/** Pauses and resumes; shows what is asked for until the hub has answered. */
export function ActiveSwitch({ schedule: { id, name, is_active: isActive } }: { readonly schedule: Schedule }) {
  const { t } = useTranslation("schedules");
  const words = useErrorWords();
  const { may } = useRights();
  const change = useMutation({
    mutationFn: (wanted: boolean) =>
      take(
        hub.PATCH("/api/v1/schedules/{id}", {
          // Whatever else it says by now.
          params: { path: { id }, header: ifMatch("*") },
          body: { is_active: wanted },
        }),
      ),
    onError: (error) => notifications.show({ color: "red", title: t("refused"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["schedules"] }),
  });
  return (
    <Switch
      aria-label={t("is_active", { name })}
      label={change.isPending ? t("pending") : t(isActive ? "active" : "paused")}
      checked={change.isPending ? change.variables : isActive}
      disabled={change.isPending || !may("automation.manage")}
      onChange={({ currentTarget }) => change.mutate(currentTarget.checked)}
    />
  );
}
