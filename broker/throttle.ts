import type { MqttLimits } from "../core/settings.ts";

export interface Throttle {
  /** So much more came. Returns how long nothing more may be read, in ms; 0 for no wait. The end of the wait is told. */
  spend(units: number): number;
  stop(): void;
}

const FREE: Throttle = { spend: () => 0, stop: () => undefined };
/** A client that is too fast is read this often, a few messages each time: to wake up for each one costs more. */
const LEAST_WAIT_MS = 50;

/** A bucket that holds `mqttPublishBurst` messages and fills at `mqttPublishRate` a second. */
export function createThrottle(
  {
    mqttPublishRate: rate,
    mqttPublishBurst: burst,
    mqttKeepaliveMinS,
  }: Pick<MqttLimits, "mqttPublishRate" | "mqttPublishBurst" | "mqttKeepaliveMinS">,
  onEnd: () => void,
): Throttle {
  if (rate === 0) return FREE;
  // However much one packet asks for: a client that is not read for longer would be taken for dead.
  const mostDebt = Math.max(1, (rate * mqttKeepaliveMinS) / 2);
  // What is not there yet after the wait would be lost to the client.
  const leastWaitMs = Math.min(LEAST_WAIT_MS, (burst * 1_000) / rate);
  let tokens = burst;
  let at = performance.now();
  let timer: NodeJS.Timeout | undefined;
  return {
    spend(units) {
      const now = performance.now();
      tokens = Math.max(-mostDebt, Math.min(burst, tokens + ((now - at) * rate) / 1_000) - units);
      at = now;
      if (tokens >= 0) return 0;
      const waitMs = Math.max(leastWaitMs, Math.ceil((-tokens * 1_000) / rate));
      clearTimeout(timer);
      timer = setTimeout(onEnd, waitMs).unref();
      return waitMs;
    },
    stop: () => clearTimeout(timer),
  };
}
