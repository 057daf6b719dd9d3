import type { HomekitPairings } from "../../core/homekit.ts";
import type { Bridge } from "../../core/smart-home.ts";
import type { HomekitContext } from "./homekit.ts";

interface OpenHomekit extends AsyncDisposable {
  readonly bridge: Bridge;
  readonly pairings: HomekitPairings;
}

/** Where HomeKit is off. */
export const NO_PAIRINGS: HomekitPairings = { of: async () => [] };

/** HomeKit, as HEXA_HOMEKIT says. A hub that has it off does not load what it takes. */
export async function openHomekit(context: HomekitContext): Promise<OpenHomekit | undefined> {
  if (context.config.homekit === "off") return undefined;
  const [{ Homekit }, { openHomekitBridge }] = await Promise.all([import("./homekit.ts"), import("./homekit-bridge.ts")]);
  const stack = new AsyncDisposableStack();
  const homekit = stack.use(new Homekit(context));
  const bridge = stack.use(openHomekitBridge(context, homekit));
  const { metrics } = context;
  metrics.gauge("hexahub_homekit_accessories", "Accessories that bridges of HomeKit show", () => homekit.measure("accessories"));
  metrics.gauge("hexahub_homekit_bridges", "Bridges of HomeKit that run", () => homekit.measure("running"));
  metrics.gauge("hexahub_homekit_paired", "Bridges of HomeKit that somebody has added", () => homekit.measure("paired"));
  metrics.gauge("hexahub_homekit_restarts", "Times that bridges of HomeKit were started again", () => homekit.measure("restarts"));
  return {
    bridge,
    pairings: { of: (organizationId) => bridge.pairings(organizationId) },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
