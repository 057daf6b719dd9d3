import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Permission } from "../hub/rights.ts";
import { LinkButton } from "../parts/link-button.tsx";
import { Page } from "../parts/page.tsx";

/** A page that is there, and not for this person. */
export function RefusedPage({ need }: { readonly need: Permission }) {
  const { t } = useTranslation();
  return (
    <Page title={t("refused.title")}>
      <Text>{t("refused.about", { permission: need })}</Text>
      <div>
        <LinkButton to="/dashboard">{t("missing.back")}</LinkButton>
      </div>
    </Page>
  );
}
