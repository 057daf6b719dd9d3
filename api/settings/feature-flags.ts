import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import {
  checkFlag,
  evaluateFlag,
  FeatureFlag,
  FLAG_REASONS,
  type FlagContext,
  FlagDefinition,
  isVersion,
} from "../../core/feature-flags.ts";
import { mergePatch, mergePatchOf } from "../../core/merge-patch.ts";
import { parserFor } from "../../core/validate.ts";
import { versionOf } from "../../core/version.ts";
import {
  createFlag,
  EVERYBODY,
  FLAGS,
  FLAGS_DOCUMENT,
  type FlagChange,
  getFlag,
  listFlags,
  removeFlag,
  updateFlag,
} from "../../store/feature-flags.ts";
import { rolesOf } from "../../store/members.ts";
import type { Db } from "../../store/open.ts";
import { findUser } from "../../store/users.ts";
import type { ApiContext } from "../context.ts";
import { IdParams, Uuid } from "../fields.ts";
import { type AuditNote, type Call, defineRoute, type Effect } from "../route.ts";

/** Everything but the name has a default: a flag that says nothing else is on for nobody. */
const { name, description, enabled, conditions, rollout_percentage, target_users, metadata } = FlagDefinition.properties;
const FlagRequest = Type.Object(
  {
    name,
    description: Type.Optional(description),
    enabled: Type.Optional(enabled),
    conditions: Type.Optional(conditions),
    rollout_percentage: Type.Optional(rollout_percentage),
    target_users: Type.Optional(target_users),
    metadata: Type.Optional(metadata),
  },
  { additionalProperties: false, title: "FeatureFlagRequest" },
);
const DEFAULTS = { description: "", enabled: false, conditions: [], rollout_percentage: 100, target_users: [], metadata: {} };
const FlagPatch = { ...mergePatchOf<FlagDefinition>(FlagDefinition), minProperties: 1, title: "FeatureFlagPatch" };
const parseDefinition = parserFor(FlagDefinition);

const Evaluated = Type.Object(
  {
    flags: Type.Record(
      Type.String(),
      Type.Object({ enabled: Type.Boolean(), reason: Type.Enum([...FLAG_REASONS]) }, { title: "FlagDecision" }),
    ),
  },
  { title: "EvaluatedFlags" },
);

export const evaluate = defineRoute({
  method: "GET",
  path: "/api/v1/feature-flags/evaluate",
  tag: "Feature flags",
  summary: "Which feature flags are on for you",
  description:
    "`reason` says what decided, in this order: `disabled`, `target_user`, `condition`, and `inside_rollout` or `outside_rollout`. An administrator of the hub may ask for somebody else, who then acts in the organisation of the account.",
  access: "self",
  query: Type.Object(
    {
      user_id: Type.Optional(Uuid),
      version: Type.Optional(
        Type.String({ maxLength: 64, description: "Of the program that asks, as of semantic versioning; the hub's without it" }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: { 200: { description: "Every flag by its name", schema: Evaluated } },
  errors: ["forbidden", "not_found"],
  async handler(call) {
    const { context, query } = call;
    const version = query.version ?? context.settings.version;
    if (query.version !== undefined && !isVersion(query.version))
      throw new HubError("validation_error", "version is none as of semantic versioning, for example 1.4.0", {
        details: [{ path: "/version", message: "is no semantic version" }],
      });
    const about = { ...(await personOf(call, query.user_id?.toLowerCase())), version };
    const flags = await context.cache.read(FLAGS, EVERYBODY);
    return { status: 200, body: { flags: Object.fromEntries(flags.map((flag) => [flag.name, evaluateFlag(flag, about)])) } };
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/feature-flags",
  tag: "Feature flags",
  summary: "All feature flags",
  access: "platform",
  replies: { 200: { description: "By name", schema: Type.Object({ data: Type.Array(FeatureFlag) }, { title: "FeatureFlagList" }) } },
  handler: async ({ context }) => ({ status: 200, body: { data: await listFlags(context.store.db) } }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/feature-flags/:id",
  tag: "Feature flags",
  summary: "One feature flag",
  access: "platform",
  params: IdParams,
  replies: { 200: { description: "The flag", schema: FeatureFlag } },
  errors: ["not_found"],
  async handler({ context, params }) {
    const flag = await getFlag(context.store.db, params.id.toLowerCase());
    return { status: 200, version: flagVersion(flag), body: flag };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/feature-flags",
  tag: "Feature flags",
  summary: "Make a feature flag",
  description:
    "It is off until `enabled` says otherwise, and then on for everybody for whom all conditions hold and who is inside the percentage.",
  access: "platform",
  body: FlagRequest,
  bodyExample: {
    name: "console.new_charts",
    enabled: true,
    conditions: [{ operator: "in", attribute: "role", values: ["admin", "owner"] }],
    rollout_percentage: 10,
  },
  replies: { 201: { description: "Made", schema: FeatureFlag } },
  errors: ["conflict", "quota_exceeded"],
  handler: ({ context, body, commit }) => {
    const definition = checked({ ...DEFAULTS, ...body });
    return commit(async (db) => {
      const change = await createFlag(db, definition, context.clock());
      return {
        answer: { status: 201, version: flagVersion(change.flag), body: change.flag },
        ...changeEffect(context, change, { action: "feature_flag.create", details: { name: definition.name } }),
      };
    });
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/feature-flags/:id",
  tag: "Feature flags",
  summary: "Change a feature flag",
  description:
    "A merge patch: lists are replaced, members of `metadata` are added, changed or with null taken away. It holds at once on every node.",
  access: "platform",
  match: "required",
  params: IdParams,
  body: FlagPatch,
  bodyExample: { rollout_percentage: 50 },
  replies: { 200: { description: "As it is now", schema: FeatureFlag } },
  errors: ["not_found", "conflict", "quota_exceeded"],
  handler: ({ context, params, body, match, commit }) =>
    commit(async (db) => {
      const patched = (before: FeatureFlag): FlagDefinition => {
        match(flagVersion(before));
        const { id: _id, version: _version, created_at: _created, updated_at: _updated, ...definition } = before;
        return checked(mergePatch(definition, body));
      };
      const change = await updateFlag(db, params.id.toLowerCase(), patched, context.clock());
      const details = { name: change.flag.name, changed: Object.keys(body), before: change.before.enabled, after: change.flag.enabled };
      return {
        answer: { status: 200, version: flagVersion(change.flag), body: change.flag },
        ...changeEffect(context, change, { action: "feature_flag.update", details }),
      };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/feature-flags/:id",
  tag: "Feature flags",
  summary: "Remove a feature flag",
  access: "platform",
  match: "required",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, params, match, commit }) =>
    commit(async (db) => {
      const change = await removeFlag(db, params.id.toLowerCase(), (before) => match(flagVersion(before)));
      const details = { name: change.flag.name };
      return { answer: { status: 204 }, ...changeEffect(context, change, { action: "feature_flag.delete", details }) };
    }),
});

const flagVersion = ({ id, version }: FeatureFlag): string => versionOf([id, version]);

/** Throws `validation_error`. */
function checked(value: unknown): FlagDefinition {
  const definition = parseDefinition(value);
  checkFlag(definition);
  return definition;
}

function changeEffect(
  { cache }: Pick<ApiContext, "cache">,
  { flag, revision }: FlagChange,
  about: Required<Pick<AuditNote, "action" | "details">>,
): Omit<Effect, "answer"> {
  return {
    audit: [{ organizationId: null, resourceType: "feature_flag", resourceId: flag.id, ...about }],
    afterwards: () => cache.changed(FLAGS_DOCUMENT, revision),
  };
}

type Person = Omit<FlagContext, "version">;

/** The caller, in the organisation that the caller acts in; or a user, in that of the account. Throws `forbidden` and `not_found`. */
async function personOf({ context, principal, rights }: Call<"self">, userId: string | undefined): Promise<Person> {
  const { db } = context.store;
  if (userId === undefined || userId === principal.id) {
    const { id, organizationId } = principal;
    const isUser = principal.kind === "user";
    return {
      userId: id,
      organizationId,
      role: isUser ? await roleOf(db, id, organizationId) : null,
      email: isUser ? principal.email : null,
    };
  }
  if (rights.kind !== "platform") throw new HubError("forbidden", "only an administrator of the hub may ask for somebody else");
  const user = await findUser(db, userId);
  if (!user) throw new HubError("not_found", "there is no such user");
  return { userId, organizationId: user.organizationId, role: await roleOf(db, userId, user.organizationId), email: user.email };
}

async function roleOf(db: Db, userId: string, organizationId: string): Promise<Person["role"]> {
  return (await rolesOf(db, userId)).get(organizationId) ?? null;
}
