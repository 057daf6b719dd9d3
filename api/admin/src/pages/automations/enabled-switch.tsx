import { Switch } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { useRights } from "../../hub/rights.ts";
import { ifMatch } from "../../hub/tagged.ts";
import { useErrorWords } from "../../parts/failed.tsx";
import type { Automation } from "./automation.ts";

/** Shows what is asked for until the hub has answered. */
export function EnabledSwitch({ automation: { id, name, is_enabled: isEnabled } }: { readonly automation: Automation }) {
  const { t } = useTranslation("automations");
  const words = useErrorWords();
  const { may } = useRights();
  const change = useMutation({
    mutationFn: (wanted: boolean) =>
      take(
        hub.PATCH("/api/v1/automations/{id}", {
          // Whatever else it says by now.
          params: { path: { id }, header: ifMatch("*") },
          body: { is_enabled: wanted },
        }),
      ),
    onError: (error) => notifications.show({ color: "red", title: t("refused"), message: words(error) }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["automations"] }),
  });
  return (
    <Switch
      aria-label={t("enabled", { name })}
      label={change.isPending ? t("pending") : t(isEnabled ? "on" : "off")}
      checked={change.isPending ? change.variables : isEnabled}
      disabled={change.isPending || !may("automation.manage")}
      onChange={({ currentTarget }) => change.mutate(currentTarget.checked)}
    />
  );
}
