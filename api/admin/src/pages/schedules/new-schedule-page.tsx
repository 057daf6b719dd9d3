import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useZone } from "../../formats.ts";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Page } from "../../parts/page.tsx";
import { type Draft, emptyDraft } from "./schedule.ts";
import { ScheduleForm } from "./schedule-form.tsx";

export function NewSchedulePage() {
  const { t } = useTranslation(["schedules", "definition"]);
  const navigate = useNavigate();
  const zone = useZone();
  const [initial] = useState(() => emptyDraft(zone));
  const make = useMutation({
    mutationFn: (draft: Draft) => take(hub.POST("/api/v1/schedules", { body: draft as never })),
    async onSuccess({ schedule }) {
      await queries.invalidateQueries({ queryKey: ["schedules"] });
      await navigate({ to: "/schedules/$id", params: { id: schedule.id } });
    },
  });
  return (
    <Page title={t("new")} about={t("new_about")}>
      <ScheduleForm
        initial={initial}
        submit={t("make")}
        error={make.error}
        isPending={make.isPending}
        onSubmit={(draft) => make.mutate(draft)}
        isNew
      />
    </Page>
  );
}
