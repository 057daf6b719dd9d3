import { queryOptions, useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { hub, take } from "../../hub/client.ts";
import { ifMatch, type Tagged, takeTagged } from "../../hub/tagged.ts";
import { queries } from "../../hub/queries.ts";
import type { components } from "../../hub/schema.d.ts";
import { Allowed, Editable } from "../../parts/allowed.tsx";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";
import { Removal } from "../../parts/removal.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { useUrlFilters } from "../../parts/url-filters.ts";
import { useEdited } from "../definition/edited.tsx";
import { Versions } from "../definition/versions.tsx";
import { inWords } from "./condition.ts";
import { RuleForm } from "./rule-form.tsx";
import { draftOf, type NewRule, patchOf } from "./rule-values.ts";

type One = Tagged<components["schemas"]["OneAlertRule"]>;
interface ShownProps {
  readonly one: One;
}
const invalidate = () => queries.invalidateQueries({ queryKey: ["alert-rules"] });

export function NewAlertRulePage() {
  const { t } = useTranslation(["alerts", "definition"]);
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: (body: NewRule) => take(hub.POST("/api/v1/alert-rules", { body })),
    async onSuccess() {
      await invalidate();
      await navigate({ to: "/alerts/rules" });
    },
  });
  return (
    <Page title={t("new_rule")} about={t("new_rule_about")}>
      <RuleForm error={make.error} isPending={make.isPending} onSubmit={make.mutate} />
    </Page>
  );
}

const ruleQuery = (id: string) =>
  queryOptions({
    queryKey: ["alert-rules", "one", id],
    queryFn: () => takeTagged(hub.GET("/api/v1/alert-rules/{id}", { params: { path: { id } } })),
  });

export function AlertRulePage() {
  const { id } = useParams({ from: "/shell/alerts/rules/$id" });
  const query = useQuery(ruleQuery(id));
  return <Asked query={query}>{(one) => <Shown one={one} />}</Asked>;
}

function Shown({ one }: ShownProps) {
  const { t } = useTranslation(["alerts", "definition"]);
  const { filters, set } = useUrlFilters();
  const navigate = useNavigate();
  const { rule } = one.data;
  const path = { params: { path: { id: rule.id }, header: ifMatch(one.tag) } };
  // Nobody asks for what is gone.
  const leave = async (): Promise<void> => {
    await navigate({ to: "/alerts/rules" });
    queries.removeQueries({ queryKey: ["alert-rules", "one", rule.id] });
    await invalidate();
  };
  return (
    <Page
      title={rule.name}
      about={inWords(t, rule.condition)}
      actions={
        <Allowed need="automation.manage">
          <Removal name={rule.name} remove={() => take(hub.DELETE("/api/v1/alert-rules/{id}", path))} onRemoved={leave} />
        </Allowed>
      }
    >
      <TabViews
        shown={filters["tab"]}
        onShow={(tab) => set({ tab })}
        views={[
          {
            name: "definition",
            label: t("tabs.definition"),
            content: (
              <Editable need="automation.manage">
                <Edited one={one} />
              </Editable>
            ),
          },
          { name: "versions", label: t("tabs.versions"), content: <Former one={one} /> },
        ]}
      />
    </Page>
  );
}

function Edited({ one }: ShownProps) {
  const { id } = one.data.rule;
  const { key, form } = useEdited({
    one,
    queryKey: ruleQuery(id).queryKey,
    draftOf: ({ rule }: One["data"]) => draftOf(rule),
    send: (draft, { data: { rule }, tag }) =>
      takeTagged(
        hub.PATCH("/api/v1/alert-rules/{id}", {
          params: { path: { id }, header: ifMatch(tag) },
          body: patchOf(draftOf(rule), draft),
        }),
      ),
  });
  return <RuleForm key={key} {...form} />;
}

function Former({ one }: ShownProps) {
  const { id, version } = one.data.rule;
  return (
    <Versions
      name={["alert-rules", "one", id]}
      present={version}
      ask={(query) => take(hub.GET("/api/v1/alert-rules/{id}/versions", { params: { path: { id }, query } }))}
      compare={(from, to) =>
        take(
          hub.GET("/api/v1/alert-rules/{id}/versions/{version}/diff", {
            params: { path: { id, version: String(from) }, query: { to: String(to) } },
          }),
        )
      }
      restore={(former) =>
        take(
          hub.POST("/api/v1/alert-rules/{id}/versions/{version}/restore", {
            params: { path: { id, version: String(former) }, header: ifMatch(one.tag) },
          }),
        )
      }
    />
  );
}
