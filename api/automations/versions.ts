import { AutomationDefinition } from "../../core/automation.ts";
import { automationVersions, getAutomation, lockAutomation } from "../../store/automations.ts";
import { versionRoutes } from "../versions.ts";
import { changeTo, OneAutomation } from "./automations.ts";
import { checkedDefinition } from "./check.ts";
import { type AutomationRequest, automationVersion } from "./representation.ts";

export const routes = versionRoutes({
  path: "/api/v1/automations",
  tag: "Automations",
  thing: "an automation",
  title: "Automation",
  resource: "automation",
  definition: AutomationDefinition,
  versions: automationVersions,
  find: getAutomation,
  lock: lockAutomation,
  etag: automationVersion,
  restored: { description: "As it is now", schema: OneAutomation },
  restore: async (changing, before, { name, description, definition }, why) => {
    const former = { ...definition, name, ...(description === null ? {} : { description }), is_enabled: before.isEnabled };
    const wanted = former as AutomationRequest;
    await checkedDefinition(changing.db, changing.context.topics, before.organizationId, wanted);
    return await changeTo(changing, before, wanted, why);
  },
});
