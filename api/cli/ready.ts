/** Where a hub listens, for whoever started it. */
export interface ReadyHub {
  readonly http: string;
  /** null for a listener that is off. */
  readonly mqtt: string | null;
  readonly mqtts: string | null;
  readonly ws: string | null;
  /** Path of the certificate that clients must trust. */
  readonly ca: string;
  readonly dataDir: string;
  /** Opens the first set-up; undefined once the hub has an administrator. */
  readonly setupToken: string | undefined;
}

const setupUrl = (hub: ReadyHub): string | null => (hub.setupToken === undefined ? null : `${hub.http}/setup#${hub.setupToken}`);

/** For programs: the line of `serve --json` that they wait for. */
export function readyLine(hub: ReadyHub, version: string): object {
  const { http, mqtt, mqtts, ws, ca, dataDir } = hub;
  return { event: "ready", version, pid: process.pid, http, mqtt, mqtts, ws, ca, data_dir: dataDir, setup_url: setupUrl(hub) };
}

export function readyScreen(hub: ReadyHub, version: string): string {
  const rows = [
    hub.setupToken === undefined ? ["Console", hub.http] : ["First set-up", setupUrl(hub) as string],
    ["API and docs", `${hub.http}/docs`],
    ["MQTT", hub.mqtt ?? "off"],
    ["MQTT over TLS", hub.mqtts === null ? "off" : `${hub.mqtts}   trust ${hub.ca}`],
    ["MQTT over WebSocket", hub.ws ?? "off"],
    ["Data folder", hub.dataDir],
    ["Demo devices", "npx hexahub demo start"],
    ["Stop", "Ctrl+C"],
  ];
  return `\nHexahub ${version} is running.\n\n${rows.map(([label, value]) => `  ${(label as string).padEnd(20)} ${value}`).join("\n")}\n\n`;
}
