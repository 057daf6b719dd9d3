import type { Db } from "./open.ts";
import { isoOf } from "./sql.ts";

/** Notes that a device's clock is off by so much. False when that was known, or the device has gone. */
export async function noteWrongClock(
  trx: Db,
  id: string,
  { offsetMs, at }: { readonly offsetMs: number; readonly at: number },
): Promise<boolean> {
  const noted = await trx("devices")
    .where({ id })
    .whereNull("clock_wrong_since")
    .update({ clock_offset_ms: Math.round(offsetMs), clock_wrong_since: isoOf(at) });
  return noted > 0;
}

/** The same of a clock that is right again. */
export async function noteRightClock(trx: Db, id: string): Promise<boolean> {
  const noted = await trx("devices")
    .where({ id })
    .whereNotNull("clock_wrong_since")
    .update({ clock_offset_ms: null, clock_wrong_since: null });
  return noted > 0;
}
