import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import type { Leases } from "./cluster-leases.ts";

/** A node that died keeps its duties for so long. */
const LEASE_MS = 15_000;

/** `leases` of the cluster; undefined on a node that is alone and has every duty at once. */
export function createDuties(leases: Leases | undefined, log: Log): Duties {
  if (leases) return { hold: (name, work) => leases.withLease(name, LEASE_MS, ({ signal }) => work(signal)) };
  return {
    hold(name, work) {
      const closing = new AbortController();
      const { signal } = closing;
      const running = (async () => {
        while (!signal.aborted) {
          await work(signal).catch((err: unknown) => log.error({ err, duty: name }, "a duty failed"));
          await pause(LEASE_MS, undefined, { signal, ref: false }).catch(() => undefined);
        }
      })();
      return {
        async [Symbol.asyncDispose]() {
          closing.abort();
          await running;
        },
      };
    },
  };
}
