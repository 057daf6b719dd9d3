import type { DeviceRef, Log } from "../core/bus.ts";
import type { Store } from "../store/open.ts";
import { listConnected } from "../store/presence.ts";
import type { Whereabouts } from "./whereabouts.ts";

const GRACE_MS = 60_000;
/** After the database could not store a change, or the other nodes could not be asked. */
const RETRY_MS = 2_000;
const ROUND = 100;

interface AbsencesContext {
  readonly store: Store;
  readonly whereabouts: Pick<Whereabouts, "isKnown">;
  readonly log: Log;
  /** How long a device has to come back: 60 s. */
  readonly presenceGraceMs?: number | undefined;
  readonly isHere: (uid: string) => boolean;
  /** Makes it offline, unless it is connected anywhere. */
  readonly depart: (device: DeviceRef, reason: string) => Promise<void>;
}

/** Devices that are noted as connected and are not here: after a stop or the loss of what the nodes share. */
export function createAbsences({ store, whereabouts, log, presenceGraceMs = GRACE_MS, isHere, depart }: AbsencesContext) {
  const timers = new Set<NodeJS.Timeout>();
  let isOver = false;

  function later(devices: readonly DeviceRef[], waitMs: number): void {
    if (isOver) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void settle(devices);
    }, waitMs).unref();
    timers.add(timer);
  }

  /** What cannot be known or stored now is tried again. */
  async function settle(devices: readonly DeviceRef[]): Promise<void> {
    if (!whereabouts.isKnown) return later(devices, RETRY_MS);
    const failed: DeviceRef[] = [];
    let reason: unknown;
    async function settleOne(device: DeviceRef): Promise<void> {
      try {
        await depart(device, "it did not come back");
      } catch (error) {
        failed.push(device);
        reason = error;
      }
    }
    // In rounds: another node may have them all, and is asked for each.
    for (let at = 0; at < devices.length; at += ROUND) await Promise.all(devices.slice(at, at + ROUND).map(settleOne));
    if (failed.length === 0) return;
    log.warn({ err: reason, devices: failed.length }, "whether devices came back cannot be known or stored now");
    later(failed, RETRY_MS);
  }

  return {
    async expectBack(): Promise<void> {
      const devices = (await listConnected(store.db)).filter(({ uid }) => !isHere(uid));
      if (devices.length > 0) later(devices, presenceGraceMs);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      isOver = true;
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
