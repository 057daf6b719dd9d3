import i18next, { type BackendModule, type ReadCallback } from "i18next";
import { initReactI18next } from "react-i18next";

export const LANGUAGES = ["en", "de", "fr", "es"] as const;
export type Language = (typeof LANGUAGES)[number];
/** In their own words. */
export const LANGUAGE_NAMES = { en: "English", de: "Deutsch", fr: "Français", es: "Español" };
/** Every letter another one, every text longer: what stays as it is was never translated. For tests. */
const PSEUDO = "en-XA";
const KEPT = "language";

/** A folder's texts are fetched with its first page. */
const FILES = import.meta.glob<Record<string, unknown>>("./**/locales/*.json", { import: "default" });

const backend: BackendModule = {
  type: "backend",
  init: () => undefined,
  read: (language, namespace, done) => void read(language, namespace, done),
};

async function read(language: string, namespace: string, done: ReadCallback): Promise<void> {
  const folder = namespace === "shell" ? "./locales" : `./pages/${namespace}/locales`;
  const file = FILES[`${folder}/${language === PSEUDO ? "en" : language}.json`];
  if (!file) return done(new Error(`no texts of ${namespace} in ${language}`), false);
  try {
    const texts = await file();
    done(null, language === PSEUDO ? pseudo(texts) : texts);
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)), true);
  }
}

export async function startLanguages(): Promise<void> {
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: wantedLanguage(),
      fallbackLng: "en",
      supportedLngs: [...LANGUAGES, PSEUDO],
      ns: ["shell"],
      defaultNS: "shell",
      interpolation: { escapeValue: false },
      react: { useSuspense: true },
    });
  document.documentElement.lang = i18next.language;
  i18next.on("languageChanged", (language) => (document.documentElement.lang = language));
  // As another tab has it.
  addEventListener("storage", ({ key }) => key === KEPT && void i18next.changeLanguage(wantedLanguage()));
}

export async function setLanguage(language: Language): Promise<void> {
  localStorage.setItem(KEPT, language);
  if (i18next.language !== language) await i18next.changeLanguage(language);
}

function wantedLanguage(): string {
  const kept = localStorage.getItem(KEPT);
  if (kept === PSEUDO || LANGUAGES.some((one) => one === kept)) return kept ?? "en";
  return LANGUAGES.find((one) => navigator.languages.some((wanted) => wanted.toLowerCase().startsWith(one))) ?? "en";
}

const LETTERS: Readonly<Record<string, string>> = {
  a: "å",
  e: "é",
  i: "î",
  o: "ø",
  u: "ü",
  c: "ç",
  n: "ñ",
  s: "š",
  y: "ý",
  A: "Å",
  E: "É",
  I: "Î",
  O: "Ø",
  U: "Ü",
};

function pseudo(texts: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, typeof text === "string" ? strange(text) : pseudo(text as Record<string, unknown>)]),
  );
}

/** All but the names between braces and tags. */
const strange = (text: string): string =>
  `[${text.replaceAll(/\{\{[^}]*\}\}|<[^>]*>|[a-zA-Z]/g, (part) => LETTERS[part] ?? part)} ${"~".repeat(Math.ceil(text.length / 4))}]`;
