import { NativeSelect, Stack, useMantineColorScheme } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { LANGUAGE_NAMES, LANGUAGES, setLanguage } from "../../i18n.ts";

const SCHEMES = ["auto", "light", "dark"] as const;

/** Kept in this browser, as in the menu. */
export function Appearance() {
  const { t, i18n } = useTranslation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Stack>
      <NativeSelect
        label={t("account.theme")}
        data={SCHEMES.map((value) => ({ value, label: t(`account.${value}`) }))}
        value={colorScheme}
        onChange={({ currentTarget }) => setColorScheme(SCHEMES.find((one) => one === currentTarget.value) ?? "auto")}
      />
      <NativeSelect
        label={t("account.language")}
        data={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
        value={i18n.language}
        onChange={({ currentTarget }) => void setLanguage(LANGUAGES.find((one) => one === currentTarget.value) ?? "en")}
      />
    </Stack>
  );
}
