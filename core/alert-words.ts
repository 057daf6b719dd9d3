import type { AlertCondition } from "./alert-rule.ts";
import type { Alert } from "./alert.ts";

/** What an alert is about, as people call it. */
export interface Called {
  /** Of the rule. */
  readonly rule: string;
  /** Of the device, or of what was lost. */
  readonly subject: string;
  readonly place?: string | null | undefined;
}

export function titleOf({ rule, subject, place }: Called): string {
  if (subject === "") return rule;
  return place ? `${rule}: ${subject} (${place})` : `${rule}: ${subject}`;
}

export const lossTitle = (name: string, away: number, total: number): string => `${name} lost: ${away} of ${total} devices`;

/** One sentence about what was seen. */
export function sentenceOf(condition: AlertCondition, values: Readonly<Record<string, unknown>>): string {
  switch (condition.kind) {
    case "threshold":
      return `${condition.key} is ${text(values["value"])}; ${limits(condition)}`;
    case "rate":
      return `${condition.key} changes by ${text(values["rate"])} a ${condition.per}; the limit is ${condition.more_than}`;
    case "absence":
      return `nothing has come${condition.key === undefined ? "" : ` of ${condition.key}`} since ${text(values["last_at"])}`;
    case "device_offline":
      return `the device is not connected${typeof values["reason"] === "string" ? `: ${values["reason"]}` : ""}`;
    case "event":
      return `${condition.type} came ${condition.count ?? 1} times within ${condition.window_s} s`;
  }
}

const limits = ({ above, below }: { readonly above?: number; readonly below?: number }): string =>
  [above === undefined ? [] : [`more than ${above}`], below === undefined ? [] : [`less than ${below}`]].flat().join(" and ") + " is bad";

function text(value: unknown): string {
  if (typeof value === "number") return String(Math.round(value * 1_000) / 1_000);
  return typeof value === "string" ? value : "unknown";
}

/** What the alert's events carry. */
export const alertData = (alert: Alert): Record<string, unknown> => ({
  alert_id: alert.id,
  rule_id: alert.ruleId,
  title: alert.title,
  severity: alert.severity,
  status: alert.status,
  uid: alert.uid,
  site_id: alert.siteId,
  parent_id: alert.parentId,
  values: alert.values,
});
