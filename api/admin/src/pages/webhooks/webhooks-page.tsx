import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { Page } from "../../parts/page.tsx";
import { InboundHooks } from "./inbound-hooks.tsx";
import { Outgoing } from "./outgoing.tsx";

const TABS = ["out", "in"] as const;

export function WebhooksPage() {
  const { t } = useTranslation(["webhooks", "definition"]);
  const { tab } = useSearch({ from: "/shell/webhooks" });
  const navigate = useNavigate({ from: "/webhooks" });
  return (
    <Page title={t("title")} about={t("about")}>
      <Tabs
        value={tab === "in" ? "in" : "out"}
        keepMounted={false}
        onChange={(wanted) => void navigate({ search: wanted === "in" ? { tab: "in" } : {}, replace: true })}
      >
        <Tabs.List mb="md">
          {TABS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="out">
          <Outgoing />
        </Tabs.Panel>
        <Tabs.Panel value="in">
          <InboundHooks />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
