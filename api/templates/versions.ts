import { TemplateDefinition } from "../../core/template.ts";
import { getOwnTemplate, lockTemplate, templateVersions } from "../../store/task-templates.ts";
import { versionRoutes } from "../versions.ts";
import { contentOf, OneTemplate, type TemplateContent, templateVersion } from "./representation.ts";
import { changeTo } from "./templates.ts";

export const routes = versionRoutes({
  path: "/api/v1/templates",
  tag: "Templates",
  thing: "a template of your organisation",
  title: "Template",
  resource: "template",
  definition: TemplateDefinition,
  versions: templateVersions,
  find: getOwnTemplate,
  lock: lockTemplate,
  etag: templateVersion,
  restored: { description: "As it is now", schema: OneTemplate },
  restore: (changing, before, { name, description, definition }, why) => {
    const content = contentOf({ name, description, definition: definition as Omit<TemplateContent, "name" | "description"> });
    return changeTo(changing, before, { ...content, is_public: before.publicFrom !== null }, why);
  },
});
