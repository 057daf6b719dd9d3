import Type, { type Static } from "typebox";
import type { Member } from "../../core/principal.ts";
import { TemplateDefinition } from "../../core/template.ts";
import { versionOf } from "../../core/version.ts";
import type { TaskTemplate, TemplateFields, TemplateSummary } from "../../store/task-templates.ts";
import { nullable } from "../fields.ts";
import { Description, Name } from "../places/fields.ts";
import type { AuditNote } from "../route.ts";

const CONTENT = { name: Name, description: Type.Optional(Description), ...TemplateDefinition.properties };

/** What a template says, wherever it is. */
export const TemplateContent = Type.Object(CONTENT, { additionalProperties: false, title: "TemplateContent" });
export type TemplateContent = Static<typeof TemplateContent>;

export const TemplateRequest = Type.Object(
  {
    ...CONTENT,
    is_public: Type.Optional(Type.Boolean({ description: "For every organisation of this hub to read and use; false without it" })),
  },
  { additionalProperties: false, title: "TemplateRequest" },
);
export type TemplateRequest = Static<typeof TemplateRequest>;

const { category: _category, tags: _tags, actions, variables } = TemplateDefinition.properties;
const SUMMARY = {
  id: Type.String(),
  is_mine: Type.Boolean({ description: "Of the organisation that you act in" }),
  organization_id: nullable("string", { description: "null for another organisation's" }),
  name: Type.String(),
  description: nullable("string"),
  category: nullable("string"),
  tags: Type.Array(Type.String()),
  is_public: Type.Boolean(),
  version: Type.Integer(),
  usage_count: Type.Integer({ description: "Tasks that were made of it" }),
  recent_uses: Type.Integer({ description: "Of those, the last 30 days'" }),
  created_by: nullable("string", { description: "null for another organisation's" }),
  created_at: Type.String(),
  updated_at: Type.String(),
};

export const TemplateSummaryView = Type.Object(SUMMARY, { title: "TemplateSummary" });
const TemplateView = Type.Object(
  { ...SUMMARY, actions, variables: Type.Array(Type.Unsafe<unknown>({ ...variables.items })) },
  { title: "Template" },
);
export const OneTemplate = Type.Object({ template: TemplateView }, { title: "OneTemplate" });

export const fieldsOf = ({ name, description, is_public: isPublic = false, ...definition }: TemplateRequest): TemplateFields => ({
  name,
  description: description ?? null,
  isPublic,
  definition,
});

export const contentOf = ({
  name,
  description,
  definition,
}: Pick<TaskTemplate, "name" | "description" | "definition">): TemplateContent => ({
  name,
  ...(description === null ? {} : { description }),
  ...definition,
});

export const requestOf = (template: TaskTemplate): TemplateRequest => ({ ...contentOf(template), is_public: template.publicFrom !== null });

/** Who has made what another organisation shows is not told. */
export function summaryJson(one: TemplateSummary, { organizationId }: Pick<Member, "organizationId">): Record<string, unknown> {
  const isMine = one.organizationId === organizationId;
  return {
    id: one.id,
    is_mine: isMine,
    organization_id: isMine ? organizationId : null,
    name: one.name,
    description: one.description,
    category: one.category,
    tags: one.tags,
    is_public: one.publicFrom !== null,
    version: one.version,
    usage_count: one.usageCount,
    recent_uses: one.recentUses,
    created_by: isMine ? one.createdBy : null,
    created_at: one.createdAt,
    updated_at: one.updatedAt,
  };
}

/** What people change: a use makes no other one of it. */
export const templateVersion = ({ id, version, publicFrom }: TaskTemplate): string => versionOf([id, version, publicFrom !== null]);

export function answerOf(template: TaskTemplate, principal: Member, status: 200 | 201) {
  const { definition } = template;
  return {
    status,
    version: templateVersion(template),
    body: { template: { ...summaryJson(template, principal), actions: definition.actions, variables: definition.variables ?? [] } },
  };
}

export const note = ({ id, organizationId }: TaskTemplate, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "template",
  resourceId: id,
  details,
});
