import Type from "typebox";
import { HubError } from "../../core/errors.ts";
import { actorOf, type Member } from "../../core/principal.ts";
import { createReadingFile, type ReadingLine } from "../../core/reading-file.ts";
import {
  IMPORT_FORMATS,
  IMPORT_STATES,
  type ImportFormat,
  LINE_REFUSALS,
  type LineRefusal,
  MOST_REFUSED_TOLD,
} from "../../core/reading-import.ts";
import { createImport, endImport, getImport, type ImportEnd, listImports, type ReadingImport } from "../../store/reading-imports.ts";
import { asHubError } from "../errors.ts";
import { Cursor, IdParams, Limit, nullable, pageOf } from "../fields.ts";
import { type Answer, type AuditNote, type Call, defineRoute } from "../route.ts";
import type { Upload } from "../upload.ts";
import { ImportRun, linesIn } from "./import-run.ts";

const TAG = "Telemetry";
const TYPES: Readonly<Record<string, ImportFormat>> = {
  "application/x-ndjson": "ndjson",
  "application/ndjson": "ndjson",
  "application/jsonl": "ndjson",
  "text/csv": "csv",
};
const MOST_BYTES = 1_099_511_627_776;

const SUMMARY = {
  id: Type.String(),
  state: Type.Enum(IMPORT_STATES, { description: "interrupted: it ended before its end; what was stored until then stays" }),
  error: nullable("string", { description: "Code of what interrupted it" }),
  format: Type.Enum(IMPORT_FORMATS),
  actor: Type.Object({ kind: Type.String(), id: Type.String() }),
  lines: Type.Integer({ description: "Read until now, without the header and blank lines" }),
  stored: Type.Integer(),
  known: Type.Integer({ description: "Readings that were there already" }),
  refused: Type.Integer(),
  started_at: Type.String(),
  ended_at: nullable("string"),
};
const ImportSummary = Type.Object(SUMMARY, { title: "ReadingImportSummary" });
const Refusal = Type.Object(
  {
    line: Type.Integer({ description: "Counted from 1" }),
    code: Type.Enum(Object.keys(LINE_REFUSALS) as LineRefusal[]),
    message: Type.String(),
  },
  { title: "RefusedLine" },
);
const ImportView = Type.Object(
  { ...SUMMARY, refusals: Type.Array(Refusal, { maxItems: MOST_REFUSED_TOLD, description: "The first ones" }) },
  { title: "ReadingImport" },
);
const OneImport = Type.Object({ import: ImportView }, { title: "OneReadingImport" });

export const importReadings = defineRoute({
  method: "POST",
  path: "/api/v1/readings/import",
  tag: TAG,
  summary: "Take in a file of readings",
  description: `NDJSON, or CSV with the header \`device,key,ts,value\`, as the export writes them; up to HEXA_IMPORT_MAX_BYTES. Answered at the end; \`GET /api/v1/readings/imports\` says meanwhile how far it is. A line that is refused hinders no other. What is there already is left as it is, so that a file may be sent again. Readings of files are history: no rule and no alert follows from them. An organisation sends two files at a time to a node. See docs/readings.md.`,
  access: "device.manage",
  idempotent: false,
  raw: { maxBytes: MOST_BYTES, types: ["application/x-ndjson", "text/csv"], isLarge: true },
  replies: { 200: { description: "What has become of the lines", schema: OneImport } },
  errors: ["rate_limited", "unavailable", "storage_full"],
  async handler({ context, principal, upload, commit }) {
    if (!upload) throw new Error("the route reads its body by itself");
    const format = formatOf(upload.headers);
    return await context.readingImports.run(principal, (signal) => importFile({ context, principal, commit }, { upload, format, signal }));
  },
});

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/readings/imports",
  tag: TAG,
  summary: "Files of readings that were sent, newest first",
  description: "The last 100 of the organisation; for whoever may manage single devices, their own.",
  access: "device.manage",
  query: Type.Object({ limit: Limit(100, 20), cursor: Cursor }, { additionalProperties: false }),
  replies: { 200: { description: "A page", schema: pageOf(ImportSummary, "ReadingImportPage") } },
  async handler({ context, principal, scope, query: { limit = 20, cursor: after } }) {
    const page = await listImports(context.store.db, { scope, actorId: principal.id, now: context.clock() }, { limit, after });
    return { status: 200, body: { data: page.items.map(summaryJson), next_cursor: page.next } };
  },
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/readings/imports/:id",
  tag: TAG,
  summary: "How far an import is, and the lines that were refused",
  access: "device.manage",
  params: IdParams,
  replies: { 200: { description: "The import", schema: OneImport } },
  errors: ["not_found"],
  async handler({ context, principal, scope, params }) {
    const reader = { scope, actorId: principal.id, now: context.clock() };
    return { status: 200, body: { import: importJson(await getImport(context.store.db, reader, params.id.toLowerCase())) } };
  },
});

/** Throws `unsupported_media_type`. */
function formatOf(headers: Upload["headers"]): ImportFormat {
  const type = (headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const format = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (format === undefined)
    throw new HubError("unsupported_media_type", "send application/x-ndjson or text/csv", { details: { content_type: type || null } });
  if ((headers["content-encoding"] ?? "identity") !== "identity")
    throw new HubError("unsupported_media_type", "compressed bodies are not accepted");
  return format;
}

type Caller = Pick<Call, "context" | "commit"> & { readonly principal: Member };
interface Given {
  readonly upload: Upload;
  readonly format: ImportFormat;
  readonly signal: AbortSignal;
}

async function importFile(caller: Caller, { upload, format, signal }: Given): Promise<Answer> {
  const { context, principal } = caller;
  let run: ImportRun | undefined;
  const pieces = upload.read({ maxBytes: context.settings.importMaxBytes, signal });
  const batches = linesIn(pieces, createReadingFile(format), () => run?.size ?? 1);
  try {
    // What is no file of readings at all is nothing to write down.
    const first = await batches.next();
    const { id } = await begin(caller, format);
    run = new ImportRun(context, principal, id);
    return await finish(caller, id, await takeAll(run, first, batches));
  } finally {
    await batches.return(undefined);
  }
}

/** All of it, or as much as there was; what interrupted it is told as an error of the run. */
async function takeAll(
  run: ImportRun,
  first: IteratorResult<readonly ReadingLine[]>,
  rest: AsyncIterator<readonly ReadingLine[]>,
): Promise<Omit<ImportEnd, "now"> & { readonly cause?: Error }> {
  try {
    for (let batch = first; batch.done !== true; batch = await rest.next()) await run.take(batch.value);
    return { state: "completed", error: null, totals: run.totals };
  } catch (thrown) {
    const cause = thrown instanceof Error ? thrown : new Error("the import failed", { cause: thrown });
    return { state: "interrupted", error: asHubError(cause).code, totals: run.totals, cause };
  }
}

async function begin({ context, principal, commit }: Caller, format: ImportFormat): Promise<ReadingImport> {
  let begun: ReadingImport | undefined;
  await commit(async (db) => {
    const { organizationId } = principal;
    begun = await createImport(db, { organizationId, actor: actorOf(principal), format, now: context.clock() });
    return { answer: { status: 200 }, audit: [note(begun, "reading_import.begin", { format })] };
  });
  return begun as ReadingImport;
}

async function finish(
  { context, commit }: Caller,
  id: string,
  { cause, ...end }: Omit<ImportEnd, "now"> & { readonly cause?: Error },
): Promise<Answer> {
  const answer = await commit(async (db) => {
    const ended = await endImport(db, id, { ...end, now: context.clock() });
    if (!ended) throw new HubError("not_found", "the organisation is gone");
    const { state, lines, stored, known, refused } = ended;
    const audit = [note(ended, "reading_import.end", { state, lines, stored, known, refused })];
    return { answer: { status: 200, body: { import: importJson(ended) } }, audit };
  });
  if (cause !== undefined) throw cause;
  return answer;
}

const note = ({ id, organizationId }: ReadingImport, action: string, details: Record<string, unknown>): AuditNote => ({
  organizationId,
  action,
  resourceType: "reading_import",
  resourceId: id,
  details,
});

const summaryJson = (one: ReadingImport) => ({
  id: one.id,
  state: one.state,
  error: one.error,
  format: one.format,
  actor: one.actor,
  lines: one.lines,
  stored: one.stored,
  known: one.known,
  refused: one.refused,
  started_at: one.startedAt,
  ended_at: one.endedAt,
});

const importJson = (one: ReadingImport) => ({
  ...summaryJson(one),
  refusals: one.refusals.map(({ line, code }) => ({ line, code, message: LINE_REFUSALS[code] })),
});
