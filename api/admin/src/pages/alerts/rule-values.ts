import type { components } from "../../hub/schema.d.ts";

export type NewRule = components["schemas"]["NewAlertRule"];
type Rule = components["schemas"]["AlertRule"];
export const KINDS = ["threshold", "device_offline", "json"] as const;

/** As the fields hold them: "" is nothing. */
export interface RuleValues {
  readonly kind: (typeof KINDS)[number];
  readonly name: string;
  readonly device: string;
  readonly severity: NewRule["severity"];
  readonly key: string;
  readonly above: number | "";
  readonly below: number | "";
  readonly forS: number | "";
  readonly json: string;
}

export const NEW_RULE: RuleValues = {
  kind: "threshold",
  name: "",
  device: "",
  severity: "warning",
  key: "",
  above: "",
  below: "",
  forS: "",
  json: "",
};

export function ruleOf({ kind, name, device, severity, key, above, below, forS }: RuleValues): NewRule {
  return {
    name,
    severity,
    condition:
      kind === "device_offline"
        ? { kind: "device_offline" }
        : { kind: "threshold", key, ...(above === "" ? {} : { above }), ...(below === "" ? {} : { below }) },
    ...(device === "" ? {} : { device }),
    ...(forS === "" || forS === 0 ? {} : { for_s: forS }),
  };
}

/** With what the fields do not show, a rule is JSON. */
export function valuesOf(rule: Rule): RuleValues {
  const definition = definitionOf(rule);
  const { condition, name, device = "", severity, for_s: forS = "" } = rule;
  const shown: RuleValues = {
    ...NEW_RULE,
    ...boundsOf(condition),
    kind: condition.kind === "threshold" ? "threshold" : "device_offline",
    name,
    device,
    severity,
    forS,
  };
  const again = ruleOf(shown);
  const isWhole = isSameShape(definition, again) && isSameShape(definition.condition, again.condition);
  return { ...shown, kind: isWhole ? shown.kind : "json", json: JSON.stringify(definition, null, 2) };
}

const boundsOf = (condition: Rule["condition"]): Partial<RuleValues> =>
  condition.kind === "threshold" ? { key: condition.key, above: condition.above ?? "", below: condition.below ?? "" } : {};

const isSameShape = (one: object, other: object): boolean =>
  JSON.stringify(Object.keys(one).toSorted()) === JSON.stringify(Object.keys(other).toSorted());

/** What a person has written of it. */
function definitionOf({
  id: _id,
  organization_id: _organization,
  version: _version,
  created_at: _created,
  updated_at: _updated,
  is_enabled: _enabled,
  description,
  ...rest
}: Rule): NewRule {
  return { ...rest, ...(description === null ? {} : { description }) };
}

/** The rest the hub judges: its words are better. */
export function parsedRule(json: string): object | undefined {
  try {
    const parsed: unknown = JSON.parse(json);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** What the former definition has and the new one has not, is taken away. */
export function patchOf(rule: Rule, next: NewRule): Record<string, unknown> {
  const gone = Object.keys(definitionOf(rule)).filter((name) => !(name in next));
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...next };
}
