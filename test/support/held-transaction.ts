import type { Db } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";

/** A transaction that has done `work`, and keeps what that has locked until `release`, which waits for its end; also at the end of the block. */
export async function heldTransaction(db: Db, work: (trx: Db) => Promise<unknown>): Promise<HeldTransaction> {
  const locked = Promise.withResolvers<void>();
  const hold = Promise.withResolvers<void>();
  const holding = inTransaction(db, async (trx) => {
    await work(trx);
    locked.resolve();
    await hold.promise;
  });
  holding.catch(locked.reject);
  await locked.promise;
  const release = async (): Promise<void> => {
    hold.resolve();
    await holding;
  };
  return { release, [Symbol.asyncDispose]: release };
}

export interface HeldTransaction extends AsyncDisposable {
  release: () => Promise<void>;
}
