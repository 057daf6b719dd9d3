import { ALEXA_SETTINGS } from "./alexa-settings.ts";
import { CLICKHOUSE_SETTINGS } from "./clickhouse-settings.ts";
import { HOME_ASSISTANT_SETTINGS } from "./home-assistant-settings.ts";
import { HOMEKIT_SETTINGS } from "./homekit-settings.ts";

/** Part of the settings: what the hub connects to. */
export const OUTSIDE_SETTINGS = { ...CLICKHOUSE_SETTINGS, ...HOME_ASSISTANT_SETTINGS, ...ALEXA_SETTINGS, ...HOMEKIT_SETTINGS };
