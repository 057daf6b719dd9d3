import { boundedCache } from "../core/bounded-cache.ts";
import type { Bus, DeviceGateway } from "../core/bus.ts";
import { HubError } from "../core/errors.ts";
import { HUB_TOPICS } from "../core/hub-topics.ts";
import type { DevicePrincipal } from "../core/principal.ts";
import type { MqttLimits } from "../core/settings.ts";
import type { Topics } from "../core/topics.ts";
import { messageTo } from "./gateway-messages.ts";
import type { DurableIngest } from "./ingest.ts";
import type { Accept } from "./listeners.ts";
import { PolledDevice } from "./polled-device.ts";

/** How long a device counts as there after a poll, at least and at most. */
export interface PollPace {
  readonly leastMs: number;
  readonly mostMs: number;
}

export interface PollsContext {
  readonly attach: Accept;
  readonly topics: Topics;
  readonly bus: Bus;
  readonly ingest: Pick<DurableIngest, "accept">;
  readonly limits: Pick<MqttLimits, "mqttConnections">;
  readonly clock: () => number;
  readonly pace?: PollPace | undefined;
}

export interface Polls extends DeviceGateway, Disposable {}

const PACE: PollPace = { leastMs: 30_000, mostMs: 120_000 };
/** How often each polls is remembered of so many, the last ones. */
const MAX_REMEMBERED = 10_000;

/** Devices that poll over HTTP. Each has a session on the node that it asked last. */
export function createPolls(context: PollsContext): Polls {
  const { topics, bus, ingest, limits, pace = PACE } = context;
  /** By the device's id, as the next. */
  const devices = new Map<string, PolledDevice>();
  /** Of a monotonic clock. */
  const polledAt = boundedCache<number>(MAX_REMEMBERED);
  let isStopping = false;

  function onEnd(device: PolledDevice): void {
    if (devices.get(device.id) === device) devices.delete(device.id);
  }

  function deviceOf(principal: DevicePrincipal, remoteAddress: string | undefined): PolledDevice {
    const known = devices.get(principal.id);
    // With another credential it is another log-in, which takes the session over.
    if (known && !known.isOver && known.credentialId === principal.credentialId) return known;
    if (!known && devices.size >= limits.mqttConnections) throw new HubError("unavailable", "too many devices poll");
    known?.release();
    const device = new PolledDevice({ ...context, onEnd }, principal, remoteAddress);
    // It may have been refused at once.
    if (!device.isOver) devices.set(principal.id, device);
    return device;
  }

  function leaseMs(id: string): number {
    const now = performance.now();
    const last = polledAt.get(id);
    polledAt.set(id, now);
    return Math.min(pace.mostMs, Math.max(pace.leastMs, last === undefined ? 0 : 2 * (now - last)));
  }

  // The answer may have come to another node.
  const following = bus.subscribe(HUB_TOPICS.commandEnded, (_topic, payload) => {
    if (devices.size === 0) return;
    const { record } = JSON.parse(payload.toString()) as { record: { id: string; deviceId: string } };
    devices.get(record.deviceId)?.settle(record.id);
  });

  return {
    async poll(principal, { waitMs, remoteAddress }) {
      if (isStopping) throw new HubError("unavailable", "the hub stops");
      const aliveMs = leaseMs(principal.id);
      const device = deviceOf(principal, remoteAddress);
      try {
        return (await device.poll(waitMs)).map(({ type, payload }) => messageTo(type, payload));
      } finally {
        device.leave(aliveMs);
      }
    },
    async report({ id, uid }, type, payload) {
      await ingest.accept({ id, uid }, type, payload);
      await bus.publish({ topic: topics.build({ kind: "up", uid, type }), payload: JSON.stringify(payload), qos: 1 });
      const device = devices.get(id);
      device?.heard();
      const answered = payload[type === "task_result" ? "task_id" : "command_id"];
      if (typeof answered === "string" && (type === "ack" || type === "task_result")) device?.settle(answered);
    },
    endWaits() {
      isStopping = true;
      for (const device of devices.values()) device.release();
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}
