import { hkdfSync } from "node:crypto";
import { notFound } from "./device-rows.ts";
import type { Db } from "./open.ts";
import { isoOf, rowsOf } from "./sql.ts";

const KEY_BYTES = 32;
/** What a device has begun before it gets the next key. */
const FORMER_KEY_MS = 24 * 3_600_000;

/** What signs the tasks of one device, and its answers. */
export interface TaskKey {
  /** The `key_id` of envelopes. */
  readonly id: string;
  readonly secret: Buffer;
}

/** Keys that are kept nowhere: each is made of the master key, the device's id and how often it was changed. */
export interface TaskKeys {
  /** With which the hub signs now. Throws `not_found`. */
  taskKeyOf(db: Db, deviceId: string): Promise<TaskKey>;
  /** With which the device may sign a result: the present one, or for a day the one before. undefined for any other `keyId`. */
  findResultKey(db: Db, about: { readonly deviceId: string; readonly keyId: string; readonly now: number }): Promise<TaskKey | undefined>;
  /** The next key of the device, with the time until which the one before it may sign results. Throws `not_found`. */
  rotateTaskKey(trx: Db, deviceId: string, now: number): Promise<{ readonly key: TaskKey; readonly formerUntil: string }>;
}

interface GenerationRow {
  readonly generation: number;
  readonly former_until: string | null;
}

export function createTaskKeys(masterKey: Buffer): TaskKeys {
  const keyOf = (deviceId: string, generation: number): TaskKey => ({
    id: String(generation),
    secret: Buffer.from(hkdfSync("sha256", masterKey, deviceId, `hexahub task key ${generation}`, KEY_BYTES)),
  });

  async function findGeneration(db: Db, deviceId: string): Promise<GenerationRow | undefined> {
    const [row] = await rowsOf<GenerationRow>(
      db,
      "select task_key_generation as generation, former_task_key_until as former_until from devices where id = ?",
      [deviceId],
    );
    return row;
  }

  return {
    async taskKeyOf(db, deviceId) {
      const row = await findGeneration(db, deviceId);
      if (!row) throw notFound();
      return keyOf(deviceId, row.generation);
    },
    async findResultKey(db, { deviceId, keyId, now }) {
      const row = await findGeneration(db, deviceId);
      if (!row) return undefined;
      const { generation, former_until: until } = row;
      if (keyId === String(generation)) return keyOf(deviceId, generation);
      const isFormer = keyId === String(generation - 1) && until !== null && now < Date.parse(until);
      return isFormer ? keyOf(deviceId, generation - 1) : undefined;
    },
    async rotateTaskKey(trx, deviceId, now) {
      const formerUntil = isoOf(now + FORMER_KEY_MS);
      // Of two at once each gets a key of its own, and the later one counts.
      const [row] = await rowsOf<{ generation: number }>(
        trx,
        "update devices set task_key_generation = task_key_generation + 1, former_task_key_until = ? where id = ? returning task_key_generation as generation",
        [formerUntil, deviceId],
      );
      if (!row) throw notFound();
      return { key: keyOf(deviceId, row.generation), formerUntil };
    },
  };
}
