import type { components } from "../../hub/schema.d.ts";
import { patchBetween } from "../definition/merge-patch.ts";

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
export function valuesOf(draft: NewRule): RuleValues {
  const { condition, name, device = "", severity, for_s: forS = "" } = draft;
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
  const isWhole = isSameShape(draft, again) && isSameShape(draft.condition, again.condition);
  return { ...shown, kind: isWhole ? shown.kind : "json", json: JSON.stringify(draft, null, 2) };
}

const boundsOf = (condition: Rule["condition"]): Partial<RuleValues> =>
  condition.kind === "threshold" ? { key: condition.key, above: condition.above ?? "", below: condition.below ?? "" } : {};

const isSameShape = (one: object, other: object): boolean =>
  JSON.stringify(Object.keys(one).toSorted()) === JSON.stringify(Object.keys(other).toSorted());

/** What a person has written of it. */
export function draftOf({
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

/** undefined while the JSON is none */
export const writtenOf = (values: RuleValues): NewRule | undefined =>
  values.kind === "json" ? (parsedRule(values.json) as NewRule | undefined) : ruleOf(values);

/** Another condition takes the place of the former one. */
export function patchOf(before: NewRule, next: NewRule): Partial<NewRule> {
  const { condition: changed, ...patch } = patchBetween(before, next);
  return changed === undefined ? patch : { ...patch, condition: next.condition };
}
