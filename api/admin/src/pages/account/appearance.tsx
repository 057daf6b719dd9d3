import { NativeSelect, Select, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useZone } from "../../formats.ts";
import { SCHEMES, useAppearance } from "../../hub/appearance.ts";
import { usePreference } from "../../hub/preferences.ts";
import { useRights } from "../../hub/rights.ts";
import { FIRST_PAGE, LAST } from "../../hub/start-page.ts";
import { LANGUAGE_NAMES, LANGUAGES } from "../../i18n.ts";
import { NAVIGATION } from "../../shell/navigation.ts";
import { mayOpen } from "../../shell/needs.ts";

const ZONES = Intl.supportedValuesOf("timeZone");

/** Kept on the hub: another browser of the person looks the same. */
export function Appearance() {
  const { t } = useTranslation("account");
  const { scheme, setScheme, language, setLanguage } = useAppearance();
  return (
    <Stack>
      <NativeSelect
        label={t("shell:account.theme")}
        data={SCHEMES.map((value) => ({ value, label: t(`shell:account.${value}`) }))}
        value={scheme}
        onChange={({ currentTarget }) => setScheme(SCHEMES.find((one) => one === currentTarget.value) ?? "auto")}
      />
      <NativeSelect
        label={t("shell:account.language")}
        data={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
        value={language}
        onChange={({ currentTarget }) => setLanguage(LANGUAGES.find((one) => one === currentTarget.value) ?? "en")}
      />
      <Zone />
      <StartPage />
    </Stack>
  );
}

function Zone() {
  const { t } = useTranslation("account");
  const [chosen, choose] = usePreference<string>("dashboard_settings", "time_zone", "");
  const shown = useZone();
  return (
    <Select
      label={t("time_zone")}
      description={t("time_zone_about")}
      placeholder={t("zone_of_browser", { zone: shown })}
      data={ZONES.includes(chosen) || chosen === "" ? ZONES : [chosen, ...ZONES]}
      value={chosen === "" ? null : chosen}
      onChange={(zone) => choose(zone ?? "")}
      searchable
      clearable
      clearButtonProps={{ "aria-label": t("zone_of_browser", { zone: "" }) }}
      limit={100}
    />
  );
}

function StartPage() {
  const { t } = useTranslation("account");
  const rights = useRights();
  const [page, choose] = usePreference<string>("dashboard_settings", "start_page", FIRST_PAGE);
  const pages = NAVIGATION.filter(({ to }) => mayOpen(rights, to)).map(({ to, name }) => ({ value: to, label: t(`shell:nav.${name}`) }));
  return (
    <NativeSelect
      label={t("start_page")}
      data={[{ value: LAST, label: t("start_last") }, ...pages]}
      value={page}
      onChange={({ currentTarget }) => choose(currentTarget.value)}
    />
  );
}
