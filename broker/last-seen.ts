import type { Log } from "../core/bus.ts";
import type { Store } from "../store/open.ts";
import { recordSeen } from "../store/presence.ts";

/** A device that was heard of. */
export interface Heard {
  readonly device: { readonly id: string };
  readonly ip: string | undefined;
  /** ms since 1970 */
  readonly lastSeenAt: number;
  /** It was heard of since it was last written down. */
  isDirty: boolean;
}

export interface LastSeen extends AsyncDisposable {
  /** The device is not among the present ones any more. */
  left(one: Heard): void;
}

const FLUSH_MS = 5_000;

/** Writes down when each device last spoke, in batches: one statement for all who spoke, and for all who left, since the last one. */
export function createLastSeen({ store, log }: { store: Store; log: Log }, present: () => Iterable<Heard>): LastSeen {
  let left: Heard[] = [];

  async function flush(): Promise<void> {
    const dirty = [...left, ...[...present()].filter((one) => one.isDirty)];
    left = [];
    if (dirty.length === 0) return;
    for (const one of dirty) one.isDirty = false;
    try {
      await recordSeen(
        store.db,
        dirty.map(({ device, lastSeenAt, ip }) => ({ id: device.id, at: lastSeenAt, ip })),
      );
    } catch (error) {
      // Those who are still here are written with the next batch.
      for (const one of dirty) one.isDirty = true;
      log.error({ err: error }, "last-seen times could not be stored");
    }
  }

  const flushing = setInterval(() => void flush(), FLUSH_MS).unref();
  return {
    left: (one) => void left.push(one),
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(flushing);
      await flush();
    },
  };
}
