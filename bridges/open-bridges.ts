import type { AlexaDoor } from "../core/alexa.ts";
import type {
  AccessDirectory,
  AutomationControl,
  Bus,
  Commands,
  DeviceDirectory,
  Duties,
  EventSink,
  Log,
  NodeCalls,
  Sessions,
} from "../core/bus.ts";
import type { Config } from "../core/config.ts";
import type { Bridge, HomeAssistantControl } from "../core/smart-home.ts";
import type { HomekitPairings } from "../core/homekit.ts";
import type { SceneControl } from "../core/scene.ts";
import type { Timers } from "../core/timer.ts";
import type { Topics } from "../core/topics.ts";
import type { Encryption } from "../store/encryption.ts";
import { type HomeDirectory, startHomeDirectory } from "../store/home-directory.ts";
import type { Db } from "../store/open.ts";
import { BridgeWatch, type BridgeWatchContext } from "./bridge-watch.ts";
import { openAlexa } from "./alexa/open-alexa.ts";
import type { SigningKeys } from "../store/secrets.ts";
import { NO_PAIRINGS, openHomekit } from "./homekit/open-homekit.ts";
import { openHomeAssistant } from "./home-assistant/open.ts";
import type { Outbound } from "./outbound/outbound.ts";

/** What they do slowly, for whoever cannot wait so long. */
export interface BridgesPace {
  /** How long a process of HomeKit may be silent. */
  readonly homekitSilenceMs?: number | undefined;
}

/** What the bridges to smart homes need of the hub. */
export interface BridgeContext {
  readonly config: Config;
  readonly db: Db;
  readonly dataDir: string;
  /** Of the listeners, once they are open. */
  readonly urls: { readonly mqtt: string | null; readonly mqtts: string | null };
  /** Path of the CA certificate that clients of the hub trust. */
  readonly caFile: string;
  readonly bus: Bus;
  readonly topics: Topics;
  readonly sessions: Sessions;
  readonly directory: DeviceDirectory;
  readonly access: AccessDirectory;
  readonly commands: Commands;
  readonly automations: AutomationControl<Db>;
  readonly rules: { readonly scenes: SceneControl };
  readonly events: EventSink;
  readonly timers: Timers<Db>;
  readonly duties: Duties;
  readonly calls: NodeCalls;
  readonly outbound: Outbound;
  readonly encryption: Encryption;
  readonly keys: SigningKeys;
  readonly metrics: BridgeWatchContext["metrics"] & { gauge(name: string, help: string, read: () => number): void };
  readonly log: Log;
  readonly clock: () => number;
  readonly bridgesPace?: BridgesPace | undefined;
}

/** What each of them is given. */
export type SmartHomeContext = BridgeContext & { readonly homes: HomeDirectory; readonly watch: BridgeWatch };

export interface Bridges extends AsyncDisposable {
  readonly homes: HomeDirectory;
  readonly bridges: readonly Bridge[];
  readonly alexa: AlexaDoor;
  readonly homeAssistant: HomeAssistantControl;
  readonly homekitPairings: HomekitPairings;
}

/** The bridges that are on. They begin by themselves, and nobody waits for what they are connected to. */
export async function openBridges(context: BridgeContext): Promise<Bridges> {
  const stack = new AsyncDisposableStack();
  const homes = stack.use(startHomeDirectory(context));
  const each = { ...context, homes, watch: stack.use(new BridgeWatch(context)) };
  const homeAssistant = stack.use(await openHomeAssistant(each));
  const alexa = stack.use(openAlexa(each));
  const homekit = stack.use(await openHomekit(each));
  return {
    homes,
    bridges: [homeAssistant, alexa.bridge, ...(homekit ? [homekit.bridge] : [])],
    homeAssistant,
    alexa: alexa.door,
    homekitPairings: homekit?.pairings ?? NO_PAIRINGS,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
