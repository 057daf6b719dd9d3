import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useRights } from "../../hub/rights.ts";
import { Page } from "../../parts/page.tsx";
import { TabViews } from "../../parts/tab-views.tsx";
import { Flags } from "./flags.tsx";
import { Places } from "./places.tsx";
import { Risk } from "./risk.tsx";
import { OrganizationValues, PlatformValues } from "./values.tsx";

export function SettingsPage() {
  const { t } = useTranslation("settings");
  const { view } = useSearch({ from: "/shell/settings" });
  const navigate = useNavigate({ from: "/settings" });
  const { may, isHubAdministrator } = useRights();
  return (
    <Page title={t("title")} about={t("about")}>
      <TabViews
        shown={view}
        onShow={(next) => void navigate({ search: { view: next }, replace: true })}
        views={[
          { name: "places", label: t("places"), content: <Places /> },
          ...(may("member.read")
            ? [
                { name: "values", label: t("values"), content: <OrganizationValues /> },
                { name: "risk", label: t("risk"), content: <Risk /> },
              ]
            : []),
          ...(isHubAdministrator
            ? [
                { name: "platform", label: t("platform"), content: <PlatformValues /> },
                { name: "flags", label: t("flags"), content: <Flags /> },
              ]
            : []),
        ]}
      />
    </Page>
  );
}
