import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

/**
 * Counts a change of the document: changes of one come one after the other from here to the end of the transaction. The number
 * is never given twice, also when everything in the document was removed.
 */
export async function nextRevision(trx: Db, document: string): Promise<number> {
  const [row] = await rowsOf<{ revision: number }>(
    trx,
    `insert into document_revisions (name, revision) values (?, 1)
     on conflict (name) do update set revision = document_revisions.revision + 1 returning revision`,
    [document],
  );
  return (row as { revision: number }).revision;
}

/** 0 before the first change. Read it before the document: then it is never newer than what it is said of. */
export async function revisionOf(db: Db, document: string): Promise<number> {
  const [row] = await rowsOf<{ revision: number }>(db, "select revision from document_revisions where name = ?", [document]);
  return row?.revision ?? 0;
}
