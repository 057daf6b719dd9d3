import { createHash } from "node:crypto";
import Type from "typebox";
import { canonicalJson } from "../../core/canonical-json.ts";
import { fault, within } from "../../core/definition.ts";
import { HubError } from "../../core/errors.ts";
import { actorOf } from "../../core/principal.ts";
import { parseTemplate } from "../../core/template.ts";
import { parserFor } from "../../core/validate.ts";
import { createTemplate, getTemplate } from "../../store/task-templates.ts";
import { IdParams } from "../fields.ts";
import { defineRoute } from "../route.ts";
import { answerOf, contentOf, fieldsOf, note, OneTemplate, TemplateContent } from "./representation.ts";
import { EXAMPLE } from "./templates.ts";

const FORMAT = "hexahub.template/1";
const MAX_FILE_BYTES = 262_144;
const Sha256 = Type.String({
  pattern: "^[0-9a-f]{64}$",
  maxLength: 64,
  description: "SHA-256 of the canonical JSON of `template`: no spaces, the members of every object sorted by their names",
});

const TemplateFile = Type.Object({ format: Type.Literal(FORMAT), sha256: Sha256, template: TemplateContent }, { title: "TemplateFile" });

const fileOf = (template: TemplateContent) => ({ format: FORMAT, sha256: hashOf(template), template });

const hashOf = (template: unknown): string => createHash("sha256").update(canonicalJson(template)).digest("hex");

export const exportOne = defineRoute({
  method: "GET",
  path: "/api/v1/templates/:id/export",
  tag: "Templates",
  summary: "A template as a file",
  description: "For another hub, or to be kept. It says nothing of the organisation.",
  access: "automation.read",
  params: IdParams,
  replies: { 200: { description: "The file", types: ["application/json"], schema: TemplateFile } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    const template = await getTemplate(context.store.db, scope, params.id.toLowerCase(), context.clock());
    const text = `${JSON.stringify(fileOf(contentOf(template)), undefined, 2)}\n`;
    return {
      status: 200,
      stream: {
        type: "application/json; charset=utf-8",
        fileName: fileName(template.name),
        async *read() {
          yield text;
        },
      },
    };
  },
});

/** What every file system takes. */
function fileName(name: string): string {
  const plain = name
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return `${(plain === "" ? "template" : plain).slice(0, 60)}.hexahub-template.json`;
}

const parseContent = parserFor(TemplateContent);

export const importOne = defineRoute({
  method: "POST",
  path: "/api/v1/templates/import",
  tag: "Templates",
  summary: "Make a template of a file",
  description: `At most ${MAX_FILE_BYTES / 1024} KiB, with the hash that it had when it was written. It is not public. A name that is there gets a number.`,
  access: "automation.manage",
  body: Type.Object(
    {
      format: Type.String({ minLength: 1, maxLength: 64, description: FORMAT }),
      sha256: Sha256,
      template: Type.Unsafe<unknown>({ type: "object", description: "As it was exported" }),
    },
    { additionalProperties: false, title: "TemplateImport" },
  ),
  bodyExample: fileOf(EXAMPLE),
  replies: { 201: { description: "Made", schema: OneTemplate } },
  errors: ["quota_exceeded"],
  async handler({ context, principal, body: { format, sha256, template }, commit }) {
    const bytes = Buffer.byteLength(JSON.stringify(template));
    if (bytes > MAX_FILE_BYTES) throw new HubError("payload_too_large", `a template file has at most ${MAX_FILE_BYTES} bytes`);
    if (format !== FORMAT) throw fault("/format", `is not ${FORMAT}, which is what this hub reads`);
    if (sha256 !== hashOf(template)) throw fault("/sha256", "is not that of the template: the file was changed, or is not whole");
    const content = within("/template", () => {
      const parsed = parseContent(template);
      parseTemplate(parsed);
      return parsed;
    });
    return await commit(async (db) => {
      const edit = { actor: actorOf(principal), now: context.clock(), note: "imported" };
      const made = await createTemplate(db, principal.organizationId, { ...fieldsOf(content), isRenamed: true }, edit);
      return {
        answer: answerOf(made, principal, 201),
        audit: [{ ...note(made, "template.import", { name: made.name, sha256 }), after: made.definition }],
      };
    });
  },
});

export const copy = defineRoute({
  method: "POST",
  path: "/api/v1/templates/:id/copy",
  tag: "Templates",
  summary: "Make a template of your own of one that is public, or of your own",
  description: "It is not public, and what becomes of the other one does not change it. A name that is there gets a number.",
  access: "automation.manage",
  params: IdParams,
  replies: { 201: { description: "Made", schema: OneTemplate } },
  errors: ["not_found", "quota_exceeded"],
  handler: ({ context, principal, scope, params, commit }) =>
    commit(async (db) => {
      const now = context.clock();
      const from = await getTemplate(db, scope, params.id.toLowerCase(), now);
      const fields = { ...fieldsOf(contentOf(from)), isRenamed: true };
      const edit = { actor: actorOf(principal), now, note: `copy of version ${from.version}` };
      const made = await createTemplate(db, principal.organizationId, fields, edit);
      const details = { name: made.name, copied: from.id, version: from.version };
      return { answer: answerOf(made, principal, 201), audit: [{ ...note(made, "template.copy", details), after: made.definition }] };
    }),
});
