import type { Code } from "./home-controller.ts";
import { type ApiClient, type HubOptions, startHub, type TestHub } from "./hub.ts";
import { isInOwnNetwork, LAN } from "./own-network.ts";
import { until } from "./wait.ts";

/** HomeKit, announced to nobody else. */
export const HOMEKIT = { HEXA_HOMEKIT: "on", HEXA_HOMEKIT_ANNOUNCE: isInOwnNetwork ? LAN.interface : "127.0.0.1" };

export async function startHome(options: HubOptions = {}): Promise<TestHub> {
  const hub = await startHub({ ...options, env: { ...HOMEKIT, ...options.env } });
  await hub.api.login();
  return hub;
}

export interface BridgeDetails {
  readonly status: string;
  readonly counts: Record<string, number>;
  readonly last_error: { code: string } | null;
  readonly details: {
    bridges: {
      number: number;
      running: boolean;
      paired: boolean;
      connected: boolean;
      accessories: number;
      restarts: number;
      pid: number;
      last_error: string | null;
    }[];
  };
}
export const stateOf = async (api: ApiClient): Promise<BridgeDetails> =>
  (await api.call<{ bridge: BridgeDetails }>("GET", "/api/v1/bridges/homekit")).body.bridge;

/** Once the bridges run and show so many accessories. */
export async function codesOf(api: ApiClient, accessories: number, timeoutMs = 20_000): Promise<Code[]> {
  await until(
    async () => {
      const { details } = await stateOf(api);
      const shown = details.bridges.reduce((sum, one) => sum + one.accessories, 0);
      return details.bridges.length > 0 && details.bridges.every(({ running, connected }) => running && connected) && shown === accessories;
    },
    { what: `bridges with ${accessories} accessories`, timeoutMs },
  );
  return (await api.call<{ data: Code[] }>("GET", "/api/v1/bridges/homekit/pairings")).body.data;
}

/** Once the hub has kept that somebody has added a bridge. */
export async function pairedAt(api: ApiClient): Promise<void> {
  await until(async () => (await stateOf(api)).status === "connected", { what: "the hub to know of the pairing" });
}
