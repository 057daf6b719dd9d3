import { ActionIcon, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Check, LogOut, Moon, Settings, Sun, SunMoon, User } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { SCHEMES, useAppearance } from "../hub/appearance.ts";
import { logOut, me } from "../hub/session.ts";
import { useChange } from "../parts/change.tsx";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n.ts";
import { OrganizationItems } from "./organizations.tsx";

const NewOrganization = lazy(async () => ({ default: (await import("./new-organization.tsx")).NewOrganization }));
const ICONS = { auto: SunMoon, light: Sun, dark: Moon } as const;

export function AccountMenu() {
  const { t } = useTranslation();
  const { data } = useQuery(me);
  const leaving = useChange("me", logOut);
  const { scheme: chosen, setScheme, language: spoken, setLanguage } = useAppearance();
  const mark = (isOn: boolean) => (isOn ? <Check size={14} aria-hidden /> : undefined);
  const [isMaking, setMaking] = useState(false);
  return (
    <>
      <Menu position="bottom-end" width={220}>
        <Menu.Target>
          <ActionIcon variant="default" size="lg" aria-label={t("account.menu")}>
            <User size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown mah="calc(100vh - 72px)" style={{ overflowY: "auto" }}>
          <Menu.Label>{data?.user?.email}</Menu.Label>
          <Menu.Item component={Link} to="/account" leftSection={<Settings size={14} aria-hidden />}>
            {t("account.settings")}
          </Menu.Item>
          <OrganizationItems onMake={() => setMaking(true)} />
          <Menu.Divider />
          <Menu.Label>{t("account.theme")}</Menu.Label>
          {SCHEMES.map((scheme) => {
            const Icon = ICONS[scheme];
            return (
              <Menu.Item
                key={scheme}
                leftSection={<Icon size={14} aria-hidden />}
                rightSection={mark(chosen === scheme)}
                onClick={() => setScheme(scheme)}
              >
                {t(`account.${scheme}`)}
              </Menu.Item>
            );
          })}
          <Menu.Divider />
          <Menu.Label>{t("account.language")}</Menu.Label>
          {LANGUAGES.map((language) => (
            <Menu.Item key={language} lang={language} rightSection={mark(spoken === language)} onClick={() => setLanguage(language)}>
              {LANGUAGE_NAMES[language]}
            </Menu.Item>
          ))}
          <Menu.Divider />
          <Menu.Item leftSection={<LogOut size={14} aria-hidden />} onClick={() => leaving.mutate(undefined)}>
            {t("account.log_out")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {isMaking && (
        <Suspense>
          <NewOrganization onClose={() => setMaking(false)} />
        </Suspense>
      )}
    </>
  );
}
