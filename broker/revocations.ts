import type { Log } from "../core/bus.ts";
import type { Principal } from "../core/principal.ts";
import type { PresenceBoard } from "./cluster-presence.ts";
import { orElse } from "./time-limit.ts";

export interface RevocationsContext {
  /** undefined until the cluster is joined. */
  readonly board: () => PresenceBoard | undefined;
  readonly log: Log;
}

/** The credentials of devices that were taken back, as they are noted for whoever shares the cluster's Redis. */
export interface Revocations {
  /** Resolves when they are noted, or cannot be: the database has them in any case. */
  note(credentialIds: readonly string[]): Promise<void>;
  /** Whether a device's credential, or that of its certificate, is noted. False while nobody can be asked: the database was. */
  includes(principal: Principal): Promise<boolean>;
}

const LIMIT_MS = 500;

export function createRevocations({ board, log }: RevocationsContext): Revocations {
  return {
    async note(credentialIds) {
      const present = board();
      if (!present) return;
      const noted = Promise.all(credentialIds.map((id) => present.revoke(id)));
      const isNoted = await orElse(
        noted.then(() => true),
        LIMIT_MS,
        false,
      );
      if (!isNoted) log.warn({ credentialIds }, "a revocation is noted in the database alone");
    },
    async includes(principal) {
      const present = board();
      if (principal.kind !== "device" || !present) return false;
      const ids = [principal.credentialId, ...(principal.certificate ? [principal.certificate.credentialId] : [])];
      const asked = Promise.all(ids.map((id) => present.isRevoked(id)));
      return orElse(
        asked.then((answers) => answers.includes(true)),
        LIMIT_MS,
        false,
      );
    },
  };
}
