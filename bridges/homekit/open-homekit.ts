import type { HomekitPairings } from "../../core/homekit.ts";
import type { Homekit, HomekitContext } from "./homekit.ts";

/** Where HomeKit is off. */
const NO_PAIRINGS: HomekitPairings = { of: async () => [] };

/** HomeKit, as HEXA_HOMEKIT says. A hub that has it off does not load what it takes. */
export async function openHomekit(context: HomekitContext): Promise<{ homekit: Homekit | undefined; pairings: HomekitPairings }> {
  if (context.config.homekit === "off") return { homekit: undefined, pairings: NO_PAIRINGS };
  const { Homekit } = await import("./homekit.ts");
  const homekit = new Homekit(context);
  const { metrics } = context;
  metrics.gauge("hexahub_homekit_accessories", "Accessories that bridges of HomeKit show", () => homekit.measure("accessories"));
  metrics.gauge("hexahub_homekit_bridges", "Bridges of HomeKit that run", () => homekit.measure("running"));
  metrics.gauge("hexahub_homekit_paired", "Bridges of HomeKit that somebody has added", () => homekit.measure("paired"));
  metrics.gauge("hexahub_homekit_restarts", "Times that bridges of HomeKit were started again", () => homekit.measure("restarts"));
  return { homekit, pairings: { of: (organizationId) => homekit.pairings(organizationId) } };
}
