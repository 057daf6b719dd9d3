import type { Account, Target } from "./connection.ts";
import type { StreamSpec } from "./stream.ts";

export interface Span {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Who publishes as which device, and who subscribes; anonymous where the broker asks for nobody. */
export interface Cast {
  readonly devices: readonly Account[];
  /** A log-in that may read every device; each connection adds a client id of its own. */
  readonly reader: Omit<Account, "clientId">;
}

/** 100 bytes that every broker can take for a reading. */
const PAYLOAD = JSON.stringify({ values: { temperature: 21.5, note: "x".repeat(60) } });
/** At 140 bytes a message this stays below the 256 KiB that the hub buffers for one client. */
const WINDOW = 1_500;

/** 50 devices publish, one account reads them all. */
export function fanIn(target: Target, span: Span, cast: Cast = anonymousCast(50)): StreamSpec {
  const publishers = cast.devices.slice(0, 50).map((device) => ({ ...device, topic: `hexa/${device.clientId}/up/telemetry` }));
  return {
    kind: "stream",
    ...target,
    ...span,
    publishers,
    subscribers: [{ ...cast.reader, clientId: "bench-reader-0", filter: "hexa/+/up/telemetry" }],
    payload: PAYLOAD,
    window: WINDOW,
  };
}

/** One device publishes, 200 clients read it. */
export function fanOut(target: Target, span: Span, cast: Cast = anonymousCast(1)): StreamSpec {
  const [device] = cast.devices;
  if (!device) throw new Error("fan-out needs a device");
  const topic = `hexa/${device.clientId}/up/telemetry`;
  const subscribers = Array.from({ length: 200 }, (_, index) => ({ ...cast.reader, clientId: `bench-reader-${index}`, filter: topic }));
  return { kind: "stream", ...target, ...span, publishers: [{ ...device, topic }], subscribers, payload: PAYLOAD, window: WINDOW };
}

/** Names as long as the hub's own, so that the frames have the same size. */
export function anonymousCast(count: number): Cast {
  return { devices: Array.from({ length: count }, (_, index) => ({ clientId: `sensor-${String(index).padStart(10, "0")}` })), reader: {} };
}
