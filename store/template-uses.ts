import { DAY_MS } from "../core/durations.ts";
import type { Db } from "./open.ts";
import { isoOf, rowsOf } from "./sql.ts";

/** For how long a use makes a template popular: a row a day. */
const DAYS = 30;

const dayOf = (ms: number): string => isoOf(ms).slice(0, 10);
const firstDay = (now: number): string => dayOf(now - (DAYS - 1) * DAY_MS);

/** How often the template `t` was used within the last 30 days. */
export const USES = {
  sql: "(select cast(coalesce(sum(u.uses), 0) as integer) from task_template_uses u where u.template_id = t.id and u.day >= ?)",
  bindings: (now: number): [string] => [firstDay(now)],
} as const;

/** A task is made of it, in the transaction that makes the task; whose ever it is. */
export async function noteUse(trx: Db, id: string, now: number): Promise<void> {
  // The template first: whoever removes it meanwhile has it locked, and then there is nothing to count.
  const used = await rowsOf(trx, "update task_templates set usage_count = usage_count + 1 where id = ? returning id", [id]);
  if (used.length === 0) return;
  await rowsOf(
    trx,
    `insert into task_template_uses (template_id, day, uses) values (?, ?, 1)
     on conflict (template_id, day) do update set uses = task_template_uses.uses + 1`,
    [id, dayOf(now)],
  );
}

/** Days that count no more. */
export async function purgeTemplateUses(db: Db, now: number): Promise<void> {
  await db("task_template_uses").where("day", "<", firstDay(now)).del();
}
