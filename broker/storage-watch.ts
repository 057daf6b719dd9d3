import type { Log, StorageState } from "../core/bus.ts";
import { hubErrorOf } from "../store/database-errors.ts";

/** Whether the database has room: an alarm that is raised once, and ends by itself. */
export interface StorageWatch extends StorageState, Disposable {
  /** A write failed. Returns whether that was for want of room, and so is told. */
  failed(error: unknown): boolean;
  /** A write that needs room was committed. */
  worked(): void;
}

export interface StorageWatchContext {
  readonly log: Log;
  /** Writes something; {@link StorageWatch.worked} or {@link StorageWatch.failed} follows. */
  readonly probe: () => void;
  /** ms that never go back. */
  readonly monotonic: () => number;
}

const PROBE_MS = 1_000;
/** A little may still fit into what is left: it is over when nothing failed for so long. */
const QUIET_MS = 3_000;

export function createStorageWatch({ log, probe, monotonic }: StorageWatchContext): StorageWatch {
  let failedAt = 0;
  let probing: NodeJS.Timeout | undefined;
  const end = (): void => {
    clearInterval(probing);
    probing = undefined;
  };
  return {
    get isFull() {
      return probing !== undefined;
    },
    failed(error) {
      const reason = hubErrorOf(error);
      if (reason?.code !== "storage_full") return false;
      failedAt = monotonic();
      if (probing) return true;
      log.error({ err: reason }, "the storage is full: nothing that must be kept is acknowledged until there is room");
      probing = setInterval(probe, PROBE_MS).unref();
      return true;
    },
    worked() {
      if (!probing || monotonic() - failedAt < QUIET_MS) return;
      end();
      log.warn({}, "the storage has room again");
    },
    [Symbol.dispose]: end,
  };
}
