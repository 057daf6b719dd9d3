import { AlertRuleDefinition } from "../../core/alert-rule.ts";
import { alertRuleVersions, getAlertRule, lockAlertRule } from "../../store/alert-rules.ts";
import { versionRoutes } from "../versions.ts";
import { type AlertRuleRequest, ruleVersion } from "./representation.ts";
import { changeTo, checkRule, OneRule } from "./rules.ts";

export const routes = versionRoutes({
  path: "/api/v1/alert-rules",
  tag: "Alerts",
  thing: "an alert rule",
  title: "AlertRule",
  resource: "alert_rule",
  definition: AlertRuleDefinition,
  versions: alertRuleVersions,
  find: getAlertRule,
  lock: lockAlertRule,
  etag: ruleVersion,
  restored: { description: "As it is now", schema: OneRule },
  restore: async (changing, before, { name, description, definition }, why) => {
    const former = { ...definition, name, ...(description === null ? {} : { description }), is_enabled: before.isEnabled };
    const wanted = former as AlertRuleRequest;
    await checkRule(changing.db, before.organizationId, wanted);
    return await changeTo(changing, before, wanted, why);
  },
});
