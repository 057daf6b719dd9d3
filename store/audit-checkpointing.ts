import { setTimeout as pause } from "node:timers/promises";
import type { Duties, Log } from "../core/bus.ts";
import { type CheckpointContext, type Signed, signChains } from "./audit-checkpoints.ts";
import { sealAudit } from "./audit-sealing.ts";

export interface AuditCheckpoints {
  /** Of every chain, up to now. Whoever asks meanwhile gets the same. */
  sign(): Promise<Signed>;
}

export function createAuditCheckpoints(context: CheckpointContext): AuditCheckpoints {
  let running: Promise<Signed> | undefined;
  async function sign(): Promise<Signed> {
    while ((await sealAudit(context.db, context.chainKey)) > 0);
    return await signChains(context, 0);
  }
  return { sign: () => (running ??= sign().finally(() => (running = undefined))) };
}

export interface CheckpointingContext extends CheckpointContext {
  readonly duties: Duties;
  readonly log: Log;
  /** A minute. */
  readonly everyMs?: number;
  /** An hour: so long rows wait at most. */
  readonly waitMs?: number;
}

const EVERY_MS = 60_000;
const WAIT_MS = 3_600_000;

/** Signs what the chains have grown by: on one node of a cluster, though two at once do no harm. */
export function startCheckpoints({ duties, log, everyMs = EVERY_MS, waitMs = WAIT_MS, ...context }: CheckpointingContext): AsyncDisposable {
  return duties.hold("audit checkpoints", async (signal) => {
    const told = new Set<string>();
    while (!signal.aborted) {
      const { bad } = await signChains(context, waitMs, signal).catch((error: unknown) => {
        log.error({ err: error }, "the audit could not be signed; it is tried again");
        return { bad: [] };
      });
      for (const chain of bad) {
        // It stays so: once is enough.
        if (!told.has(chain))
          log.error({ organizationId: chain === "" ? null : chain }, "the audit is not what the hub has written, and is not signed");
        told.add(chain);
      }
      await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  });
}
