import type { MqttLimits } from "../core/settings.ts";

export interface Throttle {
  /** One message more. Returns how long nothing more may be read, in ms; 0 for no wait. The end of the wait is told. */
  spend(): number;
  stop(): void;
}

const FREE: Throttle = { spend: () => 0, stop: () => undefined };
/** A client that is too fast is read this often, a few messages each time: to wake up for each one costs more. */
const LEAST_WAIT_MS = 50;

/** A bucket that holds `mqttPublishBurst` messages and fills at `mqttPublishRate` a second. */
export function createThrottle(
  { mqttPublishRate: rate, mqttPublishBurst: burst }: Pick<MqttLimits, "mqttPublishRate" | "mqttPublishBurst">,
  onEnd: () => void,
): Throttle {
  if (rate === 0) return FREE;
  // What is not there yet after the wait would be lost to the client.
  const leastWaitMs = Math.min(LEAST_WAIT_MS, (burst * 1_000) / rate);
  let tokens = burst;
  let at = performance.now();
  let timer: NodeJS.Timeout | undefined;
  return {
    spend() {
      const now = performance.now();
      tokens = Math.min(burst, tokens + ((now - at) * rate) / 1_000) - 1;
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
