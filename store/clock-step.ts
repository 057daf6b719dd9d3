import type { Db } from "./open.ts";
import { engineOf, isoOf, rowsOf } from "./sql.ts";
import { inTransaction } from "./transaction.ts";

/**
 * The clock was set back: what is noted as heard later than `latest` (ms since 1970) was heard at `now`. Without that nothing that comes
 * from now on would be newer, and whatever waits for a silence would wait for that time.
 */
export async function takeBackFuture(db: Db, now: number, latest: number): Promise<void> {
  const times = [isoOf(now), isoOf(latest)];
  await inTransaction(db, async (trx) => {
    // In the order in which everybody else takes them.
    if (engineOf(trx) === "postgres")
      await rowsOf(trx, "select id from devices where last_seen_at > ? order by id for no key update", times.slice(1));
    await rowsOf(trx, "update devices set last_seen_at = ? where last_seen_at > ?", times);
  });
  await inTransaction(db, async (trx) => {
    if (engineOf(trx) === "postgres")
      await rowsOf(
        trx,
        "select 1 as one from device_sensor_state where received_at > ? order by device_id, sensor_key for no key update",
        times.slice(1),
      );
    await rowsOf(trx, "update device_sensor_state set received_at = ?, ts = case when ts > ? then ? else ts end where received_at > ?", [
      isoOf(now),
      Math.floor(now),
      Math.floor(now),
      isoOf(latest),
    ]);
  });
}
