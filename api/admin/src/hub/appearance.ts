import { type MantineColorScheme, useMantineColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { LANGUAGES, type Language, setLanguage } from "../i18n.ts";
import { keepPreference, preferences } from "./preferences.ts";

export const SCHEMES = ["auto", "light", "dark"] as const satisfies readonly MantineColorScheme[];
const PART = "dashboard_settings";

export interface Appearance {
  readonly scheme: MantineColorScheme;
  readonly setScheme: (scheme: MantineColorScheme) => void;
  /** As i18next names it. */
  readonly language: string;
  readonly setLanguage: (language: Language) => void;
}

/** Holds here at once, and by the hub in every other browser of the person. */
export function useAppearance(): Appearance {
  const { i18n } = useTranslation();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return {
    scheme: colorScheme,
    setScheme(scheme) {
      setColorScheme(scheme);
      keepPreference(PART, "theme", scheme);
    },
    language: i18n.language,
    setLanguage(language) {
      void setLanguage(language);
      keepPreference(PART, "language", language);
    },
  };
}

/** What the hub keeps holds over what this browser kept; without it the browser's stays. */
export function useKeptAppearance(): void {
  const { data, dataUpdatedAt } = useQuery(preferences);
  const isTold = dataUpdatedAt > 0;
  const { setColorScheme } = useMantineColorScheme();
  const { theme, language } = data?.[PART] ?? {};
  useEffect(() => {
    const wanted = SCHEMES.find((one) => one === theme);
    if (wanted && isTold) setColorScheme(wanted);
  }, [theme, isTold]);
  useEffect(() => {
    const wanted = LANGUAGES.find((one) => one === language);
    if (wanted && isTold) void setLanguage(wanted);
  }, [language, isTold]);
}
