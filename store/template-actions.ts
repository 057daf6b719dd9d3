import type { Command } from "../core/command.ts";
import type { Fault } from "../core/faults.ts";
import type { Scope } from "../core/principal.ts";
import { type Builtins, devicesGiven, readTemplate, resolveTemplate } from "../core/template.ts";
import type { Db } from "./open.ts";
import { idsParameter, scoped, toJson } from "./sql.ts";
import { definitionAt, getTemplate, type TaskTemplate } from "./task-templates.ts";

export interface TemplateUse {
  readonly id: string;
  /** The present one without it. */
  readonly version?: number | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly builtins: Builtins;
}

/**
 * What a template of the scope, or a public one, is with these values: now, not when somebody chose it. Throws `not_found` for
 * a template or version that is not there any more, and `validation_error` with all that is wrong with the values.
 */
export async function templateActions(
  db: Db,
  scope: Scope,
  { id, version, variables, builtins }: TemplateUse,
): Promise<{ readonly template: TaskTemplate; readonly version: number; readonly actions: Command[] }> {
  const template = await getTemplate(db, scope, id, builtins.now);
  const wanted = version ?? template.version;
  const parsed = readTemplate(await definitionAt(db, scope, template, wanted));
  const strangers = await strangersOf(db, scope, devicesGiven(parsed, variables));
  return { template, version: wanted, actions: resolveTemplate(parsed, variables, builtins, strangers) };
}

/** What is another organisation's is as unknown as what is not there. */
async function strangersOf(db: Db, scope: Scope, given: readonly { readonly path: string; readonly uid: string }[]): Promise<Fault[]> {
  if (given.length === 0) return [];
  const query = db("devices as d").whereRaw(`d.uid in ${idsParameter(db)}`, [toJson(given.map(({ uid }) => uid))]);
  const known = new Set((await scoped(query, scope, { organization: "d.organization_id", device: "d.id" }).pluck("d.uid")) as string[]);
  return given.flatMap(({ path, uid }) => (known.has(uid) ? [] : [{ path, message: "is no device of the organisation" }]));
}
