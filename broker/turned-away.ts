import type { Log, Metrics } from "../core/bus.ts";

/** Says that a connection was refused before it had a client: a metric each time, a line in the log at most once a second for each reason. */
export type TurnAway = (reason: string, remoteAddress: string | undefined) => void;

const QUIET_MS = 1_000;

export function createTurnAway({ log, metrics }: { log: Log; metrics: Metrics }, clock: () => number): TurnAway {
  const told = new Map<string, { at: number; untold: number }>();
  return (reason, remoteAddress) => {
    metrics.count("hexahub_mqtt_connections_refused_total", { reason });
    const last = told.get(reason);
    if (last && clock() - last.at < QUIET_MS) {
      last.untold++;
      return;
    }
    told.set(reason, { at: clock(), untold: 0 });
    log.warn({ reason, remoteAddress, untold: last?.untold ?? 0 }, "connections are refused");
  };
}
