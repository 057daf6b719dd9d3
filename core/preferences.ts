import Type from "typebox";
import { mergePatch } from "./merge-patch.ts";
import { checkNotificationSettings } from "./notification-settings.ts";
import { requireSmall } from "./validate.ts";

/** What a console keeps for a person: what is in it is the console's own affair, but for what notification_settings say. */
export const PREFERENCES = ["dashboard_layout", "dashboard_settings", "device_view_state", "notification_settings"] as const;
type PreferenceName = (typeof PREFERENCES)[number];
type Content = Readonly<Record<string, unknown>>;
export type Preferences = Readonly<Record<PreferenceName, Content>>;
/** null empties one; inside of one it takes a member away. */
export type PreferencesPatch = Readonly<Partial<Record<PreferenceName, Content | null>>>;

const MAX_CONTENT = { maxBytes: 65_536, maxDepth: 32 };
const JsonObject = Type.Record(Type.String(), Type.Unknown());

export const PreferencesView = Type.Object(
  { dashboard_layout: JsonObject, dashboard_settings: JsonObject, device_view_state: JsonObject, notification_settings: JsonObject },
  { title: "Preferences" },
);

const Patched = Type.Optional(
  Type.Unsafe<Content | null>({
    anyOf: [JsonObject, { type: "null" }],
    description: "A merge patch; null empties it. At most 64 KiB and 32 levels",
  }),
);
export const PreferencesPatch = Type.Object(
  { dashboard_layout: Patched, dashboard_settings: Patched, device_view_state: Patched, notification_settings: Patched },
  { additionalProperties: false, minProperties: 1, title: "PreferencesPatch" },
);

export const NO_PREFERENCES: Preferences = {
  dashboard_layout: {},
  dashboard_settings: {},
  device_view_state: {},
  notification_settings: {},
};

/** RFC 7396, each key by itself. Throws `validation_error` when one becomes too large, or what the hub reads of it makes no sense. */
export function patchPreferences(before: Preferences, patch: PreferencesPatch): Preferences {
  const changed = PREFERENCES.filter((name) => name in patch).map((name) => {
    const content = patch[name] === null ? {} : mergePatch(before[name], patch[name]);
    requireSmall(content, `/${name}`, MAX_CONTENT);
    if (name === "notification_settings") checkNotificationSettings(content as Content, Object.keys(patch[name] ?? {}));
    return [name, content];
  });
  return { ...before, ...(Object.fromEntries(changed) as Partial<Preferences>) };
}
