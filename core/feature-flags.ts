import { createHash } from "node:crypto";
import Type, { type Static } from "typebox";
import { HubError } from "./errors.ts";
import { isUuid } from "./id.ts";
import { ROLES, type Role } from "./permissions.ts";
import { requireSmall } from "./validate.ts";

const Attribute = Type.Enum(["role", "organization_id", "user_id", "email_domain", "version"], {
  description: "Of whom the flag is asked for; `version` is that of the program that asks, else the hub's",
});
const Text = Type.String({ minLength: 1, maxLength: 255 });

const Compared = Type.Object(
  { operator: Type.Enum(["eq", "ne"]), attribute: Attribute, value: Text },
  { additionalProperties: false, title: "FlagConditionEquals" },
);
const Listed = Type.Object(
  { operator: Type.Enum(["in", "not_in"]), attribute: Attribute, values: Type.Array(Text, { minItems: 1, maxItems: 100 }) },
  { additionalProperties: false, title: "FlagConditionIn" },
);
const Ending = Type.Object(
  { operator: Type.Literal("ends_with"), attribute: Type.Literal("email_domain"), value: Text },
  { additionalProperties: false, title: "FlagConditionEndsWith" },
);
const AtLeast = Type.Object(
  { operator: Type.Literal("gte"), attribute: Type.Literal("version"), value: Text },
  { additionalProperties: false, title: "FlagConditionAtLeast" },
);
const CONDITIONS = [Compared, Listed, Ending, AtLeast] as const;

/** `operator` says which; what it compares with has to be a value that the attribute can have. */
const Condition = Type.Unsafe<Static<(typeof CONDITIONS)[number]>>({
  type: "object",
  title: "FlagCondition",
  discriminator: { propertyName: "operator" },
  oneOf: [...CONDITIONS],
});
type Condition = Static<typeof Condition>;

const DEFINITION = {
  name: Type.String({ pattern: "^[a-z][a-z0-9_.-]{0,63}$", description: "What programs ask for" }),
  description: Type.String({ maxLength: 500 }),
  enabled: Type.Boolean({ description: "false: off for everybody" }),
  conditions: Type.Array(Condition, { maxItems: 20, description: "All have to hold" }),
  rollout_percentage: Type.Number({ minimum: 0, maximum: 100, description: "Of those for whom the conditions hold; to a hundredth" }),
  target_users: Type.Array(Type.String({ pattern: "^[0-9a-fA-F-]{36}$" }), {
    maxItems: 1_000,
    description: "On for these, conditions or not",
  }),
  metadata: Type.Record(Type.String(), Type.Unknown(), { description: "For whoever looks after it" }),
};

/** What somebody decides about a flag. */
export const FlagDefinition = Type.Object(DEFINITION, { additionalProperties: false, title: "FeatureFlagDefinition" });
export type FlagDefinition = Static<typeof FlagDefinition>;

export const FeatureFlag = Type.Object(
  { id: Type.String(), ...DEFINITION, version: Type.Integer(), created_at: Type.String(), updated_at: Type.String() },
  { title: "FeatureFlag" },
);
export type FeatureFlag = Static<typeof FeatureFlag>;

/** They are cached, and read, as one. */
export const MAX_FLAGS = 200;
export const MAX_FLAGS_BYTES = 1_048_576;

/** Who asks. null for what somebody has not. */
export interface FlagContext {
  readonly userId: string;
  readonly organizationId: string;
  /** In that organisation. */
  readonly role: Role | null;
  readonly email: string | null;
  /** As of semantic versioning. */
  readonly version: string;
}

export const FLAG_REASONS = ["disabled", "target_user", "condition", "inside_rollout", "outside_rollout"] as const;
export interface FlagDecision {
  readonly enabled: boolean;
  /** What decided. */
  readonly reason: (typeof FLAG_REASONS)[number];
}

/** Off is off; then those who were named; then the conditions, of which each has to hold; then the share of users. */
export function evaluateFlag(flag: FeatureFlag, context: FlagContext): FlagDecision {
  if (!flag.enabled) return { enabled: false, reason: "disabled" };
  const userId = context.userId.toLowerCase();
  if (flag.target_users.some((one) => one.toLowerCase() === userId)) return { enabled: true, reason: "target_user" };
  if (!flag.conditions.every((condition) => holds(condition, context))) return { enabled: false, reason: "condition" };
  const isInside = rolloutBucket(flag.id, userId) < Math.round(flag.rollout_percentage * 100);
  return { enabled: isInside, reason: isInside ? "inside_rollout" : "outside_rollout" };
}

/**
 * 0 to 9,999: SHA-256 of `<flag id>:<user id>`, modulo 10,000. Who is below a percentage is below every higher one, and of
 * two flags each takes its own.
 */
export function rolloutBucket(flagId: string, userId: string): number {
  const digest = createHash("sha256").update(`${flagId}:${userId}`).digest("hex");
  return Number(BigInt(`0x${digest}`) % 10_000n);
}

/** Throws `validation_error` for what the schema cannot say: values that no attribute has, users that are no ids, too much. */
export function checkFlag({ conditions, target_users: users, metadata }: FlagDefinition): void {
  requireSmall(metadata, "/metadata", { maxBytes: 16_384, maxDepth: 16 });
  const problems = [
    ...conditions.flatMap((condition, index) =>
      valuesOf(condition).every((value) => CHECKS[condition.attribute](value))
        ? []
        : [{ path: `/conditions/${index}`, message: `compares ${condition.attribute} with what it cannot be` }],
    ),
    ...users.flatMap((user, index) => (isUuid(user) ? [] : [{ path: `/target_users/${index}`, message: "is no user's id" }])),
  ];
  const [first] = problems;
  if (first) throw new HubError("validation_error", `${first.path} ${first.message}`, { details: problems });
}

const SEMVER = /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$/;
export const isVersion = (text: string): boolean => text.length <= 64 && SEMVER.test(text);

const CHECKS: Readonly<Record<Condition["attribute"], (value: string) => boolean>> = {
  role: (value) => (ROLES as readonly string[]).includes(value),
  organization_id: isUuid,
  user_id: isUuid,
  email_domain: (value) => /^[^\s@]+$/.test(value),
  version: isVersion,
};

function holds(condition: Condition, context: FlagContext): boolean {
  const { attribute } = condition;
  const actual = attributeOf(attribute, context);
  // Nobody has what is not known of them; and whoever has none is none of those that are named.
  if (actual === null) return condition.operator === "ne" || condition.operator === "not_in";
  const isOneOf = (): boolean => valuesOf(condition).some((value) => isSame(attribute, actual, value));
  switch (condition.operator) {
    case "eq":
    case "in":
      return isOneOf();
    case "ne":
    case "not_in":
      return !isOneOf();
    case "ends_with":
      return actual.endsWith(condition.value.toLowerCase());
    case "gte":
      return compareVersions(actual, condition.value) >= 0;
  }
}

function attributeOf(attribute: Condition["attribute"], context: FlagContext): string | null {
  switch (attribute) {
    case "role":
      return context.role;
    case "organization_id":
      return context.organizationId.toLowerCase();
    case "user_id":
      return context.userId.toLowerCase();
    case "email_domain":
      return context.email === null ? null : context.email.slice(context.email.lastIndexOf("@") + 1).toLowerCase();
    case "version":
      return context.version;
  }
}

const valuesOf = (condition: Condition): readonly string[] => ("values" in condition ? condition.values : [condition.value]);

function isSame(attribute: Condition["attribute"], actual: string, value: string): boolean {
  return attribute === "version" ? compareVersions(actual, value) === 0 : actual === value.toLowerCase();
}

/** Semantic versioning 2.0, section 11. What is no version comes before all that are. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [SEMVER.exec(one), SEMVER.exec(other)];
  if (!a || !b) return Number(a !== null) - Number(b !== null);
  for (const part of [1, 2, 3]) {
    const difference = Number(a[part]) - Number(b[part]);
    if (difference !== 0) return difference;
  }
  return comparePreReleases(a[4], b[4]);
}

function comparePreReleases(one: string | undefined, other: string | undefined): number {
  if (one === undefined || other === undefined) return Number(one === undefined) - Number(other === undefined);
  const [ours, theirs] = [one.split("."), other.split(".")];
  for (const [index, a] of ours.entries()) {
    const b = theirs[index];
    if (b === undefined) return 1;
    if (a === b) continue;
    const [isNumber, isOtherNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
    if (isNumber && isOtherNumber && Number(a) !== Number(b)) return Number(a) - Number(b);
    if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
    return a < b ? -1 : 1;
  }
  return ours.length - theirs.length;
}
