import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { queries } from "../../hub/queries.ts";
import { Page } from "../../parts/page.tsx";
import { type NewTemplate, TemplateForm } from "./template-form.tsx";

const EXAMPLE: NewTemplate = {
  name: "",
  actions: [{ command: "set_relay", relay: "{{relay}}", state: "ON" }] as object[] as NewTemplate["actions"],
  variables: [{ name: "relay", type: "integer", min: 0, max: 31 }],
};

export function NewTemplatePage() {
  const { t } = useTranslation(["templates", "definition"]);
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: (body: NewTemplate) => take(hub.POST("/api/v1/templates", { body })),
    async onSuccess({ template: { id } }) {
      await queries.invalidateQueries({ queryKey: ["templates"] });
      await navigate({ to: "/templates/$id", params: { id } });
    },
  });
  return (
    <Page title={t("make")} about={t("make_about")}>
      <TemplateForm initial={EXAMPLE} error={make.error} isPending={make.isPending} onSubmit={make.mutate} isNew />
    </Page>
  );
}
