import type { Actor } from "../core/principal.ts";
import type { Db } from "./open.ts";
import { rowsOf } from "./sql.ts";

/** Where it stands who has written a version of what acts by itself. */
const VERSIONS: Partial<Record<Actor["kind"], string>> = {
  rule: `select actor_kind, actor_id from automation_versions where automation_id = ? and version = ?
    union all select actor_kind, actor_id from alert_rule_versions where rule_id = ? and version = ?`,
  schedule: "select actor_kind, actor_id from schedule_versions where schedule_id = ? and version = ?",
};

/**
 * The id of the person that an actor acts for: themselves, who has made the service account, or who has written that version of the
 * automation, schedule or alert rule. undefined when nobody knows, or there is none.
 */
export async function personBehind(db: Db, { kind, id }: Actor, version: number | null): Promise<string | undefined> {
  if (kind === "user") return id;
  if (kind === "service") {
    const [token] = await rowsOf<{ created_by: string | null }>(db, "select created_by from access_tokens where id = ?", [id]);
    return token?.created_by ?? undefined;
  }
  const sql = VERSIONS[kind];
  if (sql === undefined || version === null) return undefined;
  const given = sql.split("?").length - 1;
  const [author] = await rowsOf<{ actor_kind: Actor["kind"]; actor_id: string }>(
    db,
    sql,
    Array.from({ length: given / 2 }, () => [id, version]).flat(),
  );
  return author && (await personBehind(db, { kind: author.actor_kind, id: author.actor_id }, null));
}
