import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import type { HomekitBridge } from "../../store/homekit.ts";

/** What Homebridge and the plugin have of the hub. */
export interface HomebridgeSettings {
  readonly name: string;
  readonly bridge: HomekitBridge;
  readonly url: string;
  readonly caFile: string;
  /** Topic of its list of accessories. */
  readonly topic: string;
  /** Where it is announced; empty for everywhere. */
  readonly bind: readonly string[];
}

const PACKAGES = ["homebridge", "homebridge-lib/Platform"];

/** In words what is missing; undefined when the optional packages are there. */
export function findMissing(packages: readonly string[] = PACKAGES): string | undefined {
  const missing = packages.filter((name) => {
    try {
      return !import.meta.resolve(name);
    } catch {
      return true;
    }
  });
  if (missing.length === 0) return undefined;
  return "HomeKit needs the optional packages homebridge and homebridge-lib, which are not installed: npm ci --include=optional";
}

/** Below it is what Homebridge keeps: pairings, and the accessories with their rooms. */
export const folderOf = (dataDir: string, number: number): string => join(dataDir, "homekit", String(number));

/** Writes down what Homebridge reads at its start. It has the PIN and the token in it. */
export async function writeSettings(folder: string, { name, bridge, url, caFile, topic, bind }: HomebridgeSettings): Promise<void> {
  const { username, port, setupId: setupID, secrets } = bridge;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const text = JSON.stringify({
    bridge: {
      name,
      username,
      port,
      pin: secrets.pin,
      setupID,
      manufacturer: "Hexahub",
      model: "Hexahub",
      advertiser: "ciao",
      ...(bind.length === 0 ? {} : { bind }),
    },
    platforms: [
      {
        platform: "Hexahub",
        name: "Hexahub",
        url,
        ...(url.startsWith("mqtts:") ? { ca: caFile } : {}),
        username: secrets.accountName,
        token: secrets.token,
        topic,
        supervised: true,
      },
    ],
  });
  const file = join(folder, "config.json");
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 });

/** The program that runs Homebridge, its arguments and those of Node: with a small nursery it takes 25 MB less. */
export const programOf = (folder: string): { file: string; args: string[]; execArgv: string[] } => ({
  file: fileURLToPath(new URL("homebridge-child.js", import.meta.url)),
  args: ["-U", folder, "-P", fileURLToPath(new URL(".", import.meta.url)), "--strict-plugin-resolution", "-Q", "-T", "-K"],
  execArgv: ["--max-semi-space-size=2", "--v8-pool-size=1"],
});

/** Homebridge prints how to pair, even when it is asked not to. */
export const redacted = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll(/\b\d{3}-\d{2}-\d{3}\b/g, "***-**-***")
    .replaceAll(/X-HM:\/\/\w+/g, "X-HM://***");
