import type { Device } from "../../core/device.ts";
import type { SensorValue } from "../../core/payloads.ts";
import { canonicalUnit, convert } from "../../core/units.ts";
import type { Db } from "../../store/open.ts";
import type { Aggregate } from "../../store/readings.ts";
import { findSensorSettings } from "../../store/sensor-settings.ts";
import { ownerOf } from "../devices/device-for.ts";
import { effectiveOf } from "../devices/sensor-representation.ts";
import { sensorOf } from "../devices/sensors.ts";
import { invalid } from "./terms.ts";

interface Asked {
  readonly key: string;
  readonly unit?: string | undefined;
  readonly agg?: Aggregate | undefined;
}

/** What becomes of each value where a unit is asked for. Throws `validation_error` for one that the sensor's own cannot be converted to. */
export async function converterFor(
  db: Db,
  device: Device,
  { key, unit, agg }: Asked,
): Promise<(value: SensorValue | null) => SensorValue | null> {
  if (unit === undefined) return (value) => value;
  if (agg === "count") throw invalid("unit", "is not for a count");
  const stored = await findSensorSettings(db, ownerOf(device), key);
  const { unit_of_measurement: from, device_class: kind } = effectiveOf(await sensorOf(db, device, stored));
  if (from === undefined) throw invalid("unit", "cannot be given: nobody has said which unit the sensor has");
  const to = canonicalUnit(unit);
  // Of degrees a sum depends on how many there were.
  if (agg === "sum" && from !== to && /^(°[CF]|K)$/.test(from)) throw invalid("unit", "is not for sums of temperatures");
  const conversion = { from, to, isDifference: kind === "temperature_delta" };
  if (convert(0, conversion) === undefined) throw invalid("unit", `cannot be given: the sensor has ${from}`);
  return (value) => (typeof value === "number" ? (convert(value, conversion) ?? null) : value);
}
