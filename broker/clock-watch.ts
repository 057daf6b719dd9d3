import { boundedCache } from "../core/bounded-cache.ts";
import type { DeviceRef, EventSink, Log } from "../core/bus.ts";
import { type ClockBelief, type ClockPace, NO_BELIEF, observeClock, stampsOf } from "../core/device-clock.ts";
import { newEvent } from "../core/event.ts";
import type { Telemetry } from "../core/payloads.ts";
import { SYSTEM } from "../core/principal.ts";
import { MAX_AGE_MS, MAX_AHEAD_MS } from "../core/telemetry.ts";
import { noteRightClock, noteWrongClock } from "../store/device-clocks.ts";
import { insertEvents } from "../store/events.ts";
import type { Store } from "../store/open.ts";
import { inTransaction } from "../store/transaction.ts";
import type { Reading } from "./statistics.ts";

export interface ClockWatch extends AsyncDisposable {
  /** Looks at the stamps of a message, whether it is taken or refused for them. */
  note(device: DeviceRef, payload: Telemetry, receivedAt: number): void;
  readonly readings: readonly Reading[];
}

export interface ClockWatchContext {
  readonly store: Store;
  readonly events: EventSink;
  readonly log: Log;
  readonly clockPace?: ClockPace | undefined;
}

interface Change {
  readonly device: DeviceRef;
  readonly offsetMs: number;
  readonly at: number;
  readonly to: "wrong" | "right";
}

/** The device that was quiet for longest is forgotten first, and then has to confirm what its row says. */
const MAX_DEVICES = 50_000;

/** Tells, once for each change, that a device's clock is wrong or right again: in its row, as an event and in numbers. */
export function createClockWatch({ store, events, log, clockPace }: ClockWatchContext): ClockWatch {
  const beliefs = boundedCache<ClockBelief>(MAX_DEVICES);
  const counts = { device: 0, hub: 0, refused: 0 };
  /** One after the other: thousands of devices may come back at once. The last of each device counts. */
  const waiting = new Map<string, Change>();
  let running: Promise<void> | undefined;

  async function tell({ device, offsetMs, at, to }: Change): Promise<void> {
    const { id, uid, organizationId } = device;
    const about = { organizationId, entityId: id, actor: SYSTEM, now: at };
    const offset_ms = Math.round(offsetMs);
    const event =
      to === "wrong" ? newEvent("device.clock_wrong", about, { uid, offset_ms }) : newEvent("device.clock_right", about, { uid });
    const isNew = await inTransaction(store.db, async (trx) => {
      const isChange = to === "wrong" ? await noteWrongClock(trx, id, { offsetMs, at }) : await noteRightClock(trx, id);
      if (isChange) await insertEvents(trx, [event]);
      return isChange;
    });
    if (!isNew) return;
    log.info({ deviceUid: uid, offset_ms }, to === "wrong" ? "a device's clock is wrong" : "a device's clock is right again");
    await events.emit([event]);
  }

  async function drain(): Promise<void> {
    for (const [id, change] of waiting) {
      waiting.delete(id);
      await tell(change).catch((error: unknown) => {
        log.error({ err: error, deviceUid: change.device.uid }, "a device's clock could not be noted");
        beliefs.delete(id);
      });
    }
  }

  return {
    note(device, payload, receivedAt) {
      const { offsetMs, byDevice, byHub } = stampsOf(payload, receivedAt);
      counts.device += byDevice;
      counts.hub += byHub;
      if (offsetMs === undefined) return;
      if (offsetMs > MAX_AHEAD_MS || offsetMs < -MAX_AGE_MS) counts.refused++;
      const known = beliefs.get(device.id) ?? NO_BELIEF;
      const { belief, change } = observeClock(known, { offsetMs, at: receivedAt }, clockPace);
      if (belief !== known) beliefs.set(device.id, belief);
      if (!change) return;
      waiting.set(device.id, { device, offsetMs, at: receivedAt, to: change });
      running ??= drain().finally(() => (running = undefined));
    },
    readings: [
      {
        type: "counter",
        name: "hexahub_telemetry_samples_total",
        help: "Samples that devices have sent, by whose clock they are stamped with",
        read: () => [
          { labels: { clock: "device" }, value: counts.device },
          { labels: { clock: "hub" }, value: counts.hub },
        ],
      },
      {
        type: "counter",
        name: "hexahub_telemetry_clock_refused_total",
        help: "Messages with samples of a time that no working clock can have",
        read: () => counts.refused,
      },
    ],
    async [Symbol.asyncDispose]() {
      await running;
    },
  };
}
