import Type, { type TSchema } from "typebox";
import type { Member, Scope } from "../core/principal.ts";
import { type DefinitionVersion, isRedefined, type versionsIn } from "../store/definition-versions.ts";
import type { Db } from "../store/open.ts";
import type { ApiContext } from "./context.ts";
import { differences } from "./differences.ts";
import { IdParams, Limit, line, nullable, pageOf, Uuid } from "./fields.ts";
import { defineRoute, type Effect, type Reply, type Route } from "./route.ts";

export const EditNote = Type.Optional(line(200, "What the change is for; stands beside the version"));

/** In whose name something is changed, and within which transaction. */
export interface Changing {
  readonly context: ApiContext;
  readonly db: Db;
  readonly principal: Member;
}

/** What the audit says of a change, and the version's note. */
export interface ChangeReason {
  readonly action: string;
  readonly details: Record<string, unknown>;
  readonly reason: string | undefined;
}

type Switched = Pick<DefinitionVersion, "definition"> & { readonly isOn: boolean };

/** Whether all that the thing names has to be there, as for a new one. Whatever else is changed of it, some of that may be gone. */
export const asksForWhatItNames = (before: Switched, wanted: Switched): boolean =>
  (wanted.isOn && !before.isOn) || isRedefined(before, wanted);

interface Thing {
  readonly id: string;
  readonly version: number;
}

/** One kind of things whose definitions are kept, version by version. */
interface Versioned<T extends Thing> {
  /** `/api/v1/automations` */
  readonly path: string;
  readonly tag: string;
  /** `an automation` */
  readonly thing: string;
  /** `Automation`: the titles of what is answered begin so. */
  readonly title: string;
  /** What the audit calls it: `automation`. */
  readonly resource: string;
  readonly definition: TSchema;
  readonly versions: Pick<ReturnType<typeof versionsIn>, "list" | "get">;
  /** Throws `not_found`, as `lock`, which keeps it until the transaction ends. */
  readonly find: (db: Db, scope: Scope, id: string, now: number) => Promise<T>;
  readonly lock: (db: Db, scope: Scope, id: string, now: number) => Promise<T>;
  /** What If-Match names. */
  readonly etag: (thing: T) => string;
  readonly restored: Reply;
  readonly restore: (changing: Changing, before: T, former: DefinitionVersion, why: ChangeReason) => Promise<Effect>;
}

/** What is no number is no version, as one that is not there. */
const Version = Type.String({ minLength: 1, maxLength: 64, description: "A version's number" });
const numberOf = (version: string): number => (/^[1-9]\d{0,8}$/.test(version) ? Number(version) : 0);
const VersionParams = Type.Object({ id: Uuid, version: Version }, { additionalProperties: false });

/** The versions as a list, one of them, what two have different, and the way back to one. */
export function versionRoutes<T extends Thing>(kind: Versioned<T>): readonly Route[] {
  return [...readingRoutes(kind), diffRoute(kind), restoreRoute(kind)];
}

function readingRoutes<T extends Thing>({ path, tag, thing, title, definition, versions, find }: Versioned<T>): readonly Route[] {
  const View = Type.Object(
    {
      version: Type.Integer(),
      name: Type.String(),
      description: nullable("string"),
      definition,
      changed_at: Type.String(),
      changed_by: Type.Object({ kind: Type.String(), id: Type.String() }),
      note: nullable("string"),
    },
    { title: `${title}Version` },
  );
  const list = defineRoute({
    method: "GET",
    path: `${path}/:id/versions`,
    tag,
    summary: `The versions of ${thing}, newest first`,
    access: "automation.read",
    params: IdParams,
    query: Type.Object(
      {
        limit: Limit(100, 20),
        cursor: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999_999, description: "next_cursor of the page before" })),
      },
      { additionalProperties: false },
    ),
    replies: { 200: { description: "A page", schema: pageOf(View, `${title}VersionPage`) } },
    errors: ["not_found"],
    async handler({ context, scope, params, query: { limit = 20, cursor: after } }) {
      const { db } = context.store;
      const { id } = await find(db, scope, params.id.toLowerCase(), context.clock());
      const page = await versions.list(db, id, { limit, after });
      return { status: 200, body: { data: page.items.map(versionJson), next_cursor: page.next } };
    },
  });
  const show = defineRoute({
    method: "GET",
    path: `${path}/:id/versions/:version`,
    tag,
    summary: `One version of ${thing}`,
    access: "automation.read",
    params: VersionParams,
    replies: { 200: { description: "The version", schema: Type.Object({ version: View }, { title: `One${title}Version` }) } },
    errors: ["not_found"],
    async handler({ context, scope, params }) {
      const { db } = context.store;
      const { id } = await find(db, scope, params.id.toLowerCase(), context.clock());
      return { status: 200, body: { version: versionJson(await versions.get(db, id, numberOf(params.version))) } };
    },
  });
  return [list, show];
}

const diffRoute = <T extends Thing>({ path, tag, thing, title, versions, find }: Versioned<T>): Route =>
  defineRoute({
    method: "GET",
    path: `${path}/:id/versions/:version/diff`,
    tag,
    summary: `What one version of ${thing} has that another has not`,
    access: "automation.read",
    params: VersionParams,
    query: Type.Object({ to: Type.Optional(Version) }, { additionalProperties: false }),
    replies: {
      200: { description: "From this version to the other, the present one without `to`", schema: differencesOf(`${title}Diff`) },
    },
    errors: ["not_found"],
    async handler({ context, scope, params, query }) {
      const { db } = context.store;
      const present = await find(db, scope, params.id.toLowerCase(), context.clock());
      const from = await versions.get(db, present.id, numberOf(params.version));
      const to = await versions.get(db, present.id, query.to === undefined ? present.version : numberOf(query.to));
      const shown = ({ name, description, definition }: DefinitionVersion) => ({ name, description, ...definition });
      return { status: 200, body: { from: from.version, to: to.version, changes: differences(shown(from), shown(to)) } };
    },
  });

const restoreRoute = <T extends Thing>({ path, tag, thing, resource, versions, lock, etag, restored, restore }: Versioned<T>): Route =>
  defineRoute({
    method: "POST",
    path: `${path}/:id/versions/:version/restore`,
    tag,
    summary: `Make a former version of ${thing} the present one`,
    description: "As a new version. What it names has to be there still.",
    access: "automation.manage",
    match: "required",
    params: VersionParams,
    replies: { 200: restored },
    errors: ["not_found"],
    handler: ({ context, principal, scope, params, match, commit }) =>
      commit(async (db) => {
        const before = await lock(db, scope, params.id.toLowerCase(), context.clock());
        match(etag(before));
        const former = await versions.get(db, before.id, numberOf(params.version));
        const { version } = former;
        const why = { action: `${resource}.restore`, details: { restored: version }, reason: `version ${version} again` };
        return await restore({ context, db, principal }, before, former, why);
      }),
  });

const differencesOf = (title: string): TSchema =>
  Type.Object(
    {
      from: Type.Integer(),
      to: Type.Integer(),
      changes: Type.Array(
        Type.Object({
          path: Type.String({ description: "JSON Pointer" }),
          before: Type.Optional(Type.Unknown()),
          after: Type.Optional(Type.Unknown()),
        }),
      ),
    },
    { title },
  );

const versionJson = ({ version, name, description, definition, changedAt, actor, note }: DefinitionVersion): Record<string, unknown> => ({
  version,
  name,
  description,
  definition,
  changed_at: changedAt,
  changed_by: actor,
  note,
});
