import type { Capabilities } from "../core/device.ts";
import type { Db } from "./open.ts";
import { rowSource, rowsOf, toJson } from "./sql.ts";

interface CapabilityRow {
  readonly kind: "relay" | "light" | "input" | "ir" | "sensor";
  readonly capability_key: string;
  readonly unit?: string | undefined;
  readonly device_class?: string | undefined;
}

/** Replaces the device's rows, one an output, input or sensor, so that a new kind of device needs no new column. */
export async function writeCapabilities(trx: Db, deviceId: string, capabilities: Capabilities): Promise<void> {
  await trx("device_capabilities").where({ device_id: deviceId }).del();
  const rows = capabilityRows(capabilities);
  if (rows.length === 0) return;
  const source = rowSource(trx, { kind: "text", capability_key: "text", unit: "text", device_class: "text" });
  await rowsOf(
    trx,
    `insert into device_capabilities (device_id, kind, capability_key, unit, device_class) select ?, r.kind, r.capability_key, r.unit, r.device_class from ${source} where true on conflict do nothing`,
    [deviceId, toJson(rows)],
  );
}

function capabilityRows({ relays = 0, lights = 0, inputs = 0, ir = false, sensors = [] }: Capabilities): CapabilityRow[] {
  const indexed = (kind: CapabilityRow["kind"], count: number): CapabilityRow[] =>
    Array.from({ length: count }, (_, index) => ({ kind, capability_key: String(index) }));
  return [
    ...indexed("relay", relays),
    ...indexed("light", lights),
    ...indexed("input", inputs),
    ...indexed("ir", ir ? 1 : 0),
    ...sensors.map((sensor) => ({
      kind: "sensor" as const,
      capability_key: sensor.key,
      unit: sensor.unit,
      device_class: sensor.device_class,
    })),
  ];
}
