import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Page } from "../../parts/page.tsx";
import { newNode } from "../definition/nodes.ts";
import type { Draft } from "./automation.ts";
import { DraftForm } from "./draft-form.tsx";

const EMPTY: Draft = { name: "", triggers: [newNode("trigger", "telemetry")], actions: [newNode("action", "command")] };

export function NewAutomationPage() {
  const { t } = useTranslation(["automations", "definition"]);
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: (draft: Draft) => take(hub.POST("/api/v1/automations", { body: draft as never })),
    async onSuccess({ automation }) {
      await queries.invalidateQueries({ queryKey: ["automations"] });
      await navigate({ to: "/automations/$id", params: { id: automation.id } });
    },
  });
  return (
    <Page title={t("new")} about={t("new_about")}>
      <DraftForm
        initial={EMPTY}
        submit={t("make")}
        error={make.error}
        isPending={make.isPending}
        onSubmit={(draft) => make.mutate(draft)}
        isNew
      />
    </Page>
  );
}
