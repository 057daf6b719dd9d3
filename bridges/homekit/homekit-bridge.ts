import type { HomekitPairing } from "../../core/homekit.ts";
import type { Bridge } from "../../core/smart-home.ts";
import { readHomekitBridges } from "../../store/homekit.ts";
import { nobodyHasIt, openAtDuty } from "../at-duty.ts";
import { type Homekit, type HomekitContext, nameOf } from "./homekit.ts";
import { setupUriOf } from "./identity.ts";

const ANSWER_MS = 1_000;
/** Homebridge ends within 6 s. */
const UNLINK_MS = 15_000;

/** HomeKit as any node of a cluster is asked, whichever of them runs it. */
export interface HomekitBridge extends Bridge, Disposable {
  /** How to add each bridge that runs. Throws `unavailable` while no node has them. */
  pairings(organizationId: string): Promise<readonly HomekitPairing[]>;
}

export function openHomekitBridge(context: HomekitContext, homekit: Homekit): HomekitBridge {
  const { calls, clock, config } = context;
  const atDuty = openAtDuty(calls, {
    duty: "homekit",
    isHere: () => homekit.hasDuty,
    works: {
      state: async (organizationId: string) => homekit.state(organizationId),
      resend: (organizationId: string) => homekit.resend(organizationId),
      unlink: (organizationId: string) => homekit.unlink(organizationId),
    },
  });
  return {
    name: "homekit",
    async state(organizationId) {
      const found = await atDuty.ask("state", organizationId, ANSWER_MS);
      if (found) return found.value;
      const { code, message } = nobodyHasIt("HomeKit");
      return { status: "waiting", since: null, lastError: { at: clock(), code, message }, counts: {}, details: { mode: config.homekit } };
    },
    async resend(organizationId) {
      if (!(await atDuty.ask("resend", organizationId, ANSWER_MS))) throw nobodyHasIt("HomeKit");
    },
    async unlink(organizationId) {
      if (!(await atDuty.ask("unlink", organizationId, UNLINK_MS))) throw nobodyHasIt("HomeKit");
    },
    async pairings(organizationId) {
      const found = await atDuty.ask("state", organizationId, ANSWER_MS);
      if (!found) throw nobodyHasIt("HomeKit");
      const { bridges = [] } = found.value.details as { bridges?: readonly { readonly number: number; readonly paired: boolean }[] };
      const running = new Map(bridges.map(({ number, paired }) => [number, paired]));
      // The PINs stay in the database: they do not go from node to node.
      const known = running.size === 0 ? [] : await readHomekitBridges(context, organizationId);
      return known
        .filter(({ number }) => running.has(number))
        .map(({ number, username, port, setupId, secrets: { pin } }) => ({
          bridge: number,
          name: nameOf(number),
          username,
          port,
          pin,
          setupUri: setupUriOf({ pin, setupId }),
          isPaired: running.get(number) === true,
        }));
    },
    [Symbol.dispose]: () => atDuty[Symbol.dispose](),
  };
}
