import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useRights } from "../../hub/rights.ts";
import { me } from "../../hub/session.ts";
import { Asked } from "../../parts/asked.tsx";
import { Page } from "../../parts/page.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { Accounts } from "./accounts.tsx";
import { Grants } from "./grants.tsx";
import { Invitations } from "./invitations.tsx";
import { Members } from "./members.tsx";

export function PeoplePage() {
  const { t } = useTranslation("people");
  const { view } = useSearch({ from: "/shell/people" });
  const navigate = useNavigate({ from: "/people" });
  const query = useQuery(me);
  const { may, isHubAdministrator } = useRights();
  return (
    <Page title={t("title")} about={t("about")}>
      <Asked query={query}>
        {({ organization_id: organization }) => (
          <TabViews
            shown={view}
            onShow={(next) => void navigate({ search: { view: next }, replace: true })}
            views={[
              { name: "members", label: t("members"), content: <Members organization={organization} /> },
              ...(may("member.manage")
                ? [
                    { name: "invitations", label: t("invitations"), content: <Invitations organization={organization} /> },
                    { name: "grants", label: t("grants"), content: <Grants organization={organization} /> },
                  ]
                : []),
              ...(isHubAdministrator ? [{ name: "accounts", label: t("accounts"), content: <Accounts /> }] : []),
            ]}
          />
        )}
      </Asked>
    </Page>
  );
}
