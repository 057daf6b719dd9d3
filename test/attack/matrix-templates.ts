import assert from "node:assert/strict";
import { canonicalJson } from "../../core/canonical-json.ts";
import { createHash } from "node:crypto";
import { newId } from "../../core/id.ts";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

const READERS: readonly PersonName[] = ["owner", "admin", "operator", "viewer", "stranger"];

const within =
  (names: readonly PersonName[]) =>
  (who: PersonName, target: Target): number | "open" => {
    if (who !== "root" && !names.includes(who)) return 403;
    if (target === "missing") return 404;
    return who === "root" || target === "own" || target === "sibling" ? "open" : 404;
  };
const template = ({ template: id }: Ids): string => `/api/v1/templates/${id}`;
const of =
  (what: string) =>
  (ids: Ids): string =>
    `${template(ids)}/${what}`;
const body = () => ({ name: `Of the matrix ${newId()}`, actions: [{ command: "identify" }] });
const file = () => {
  const content = body();
  return { format: "hexahub.template/1", sha256: createHash("sha256").update(canonicalJson(content)).digest("hex"), template: content };
};

/** Of the routes about templates, none of which is public. */
export const TEMPLATE_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/templates": {},
  "GET /api/v1/templates/categories": {},
  "POST /api/v1/templates": { body },
  "POST /api/v1/templates/import": { body: file },
  "GET /api/v1/templates/:id": { path: template, expects: within(READERS) },
  "PUT /api/v1/templates/:id": { path: template, body, expects: within(MANAGERS) },
  "PATCH /api/v1/templates/:id": { path: template, body: () => ({ is_public: false }), expects: within(MANAGERS) },
  "DELETE /api/v1/templates/:id": { path: template, expects: within(MANAGERS) },
  "POST /api/v1/templates/:id/preview": { path: of("preview"), body: () => ({}), expects: within(READERS) },
  "GET /api/v1/templates/:id/export": { path: of("export"), expects: within(READERS) },
  "POST /api/v1/templates/:id/copy": { path: of("copy"), expects: within(MANAGERS) },
  "GET /api/v1/templates/:id/versions": { path: of("versions"), expects: within(READERS) },
  "GET /api/v1/templates/:id/versions/:version": { path: of("versions/1"), expects: within(READERS) },
  "GET /api/v1/templates/:id/versions/:version/diff": { path: of("versions/1/diff"), expects: within(READERS) },
  "POST /api/v1/templates/:id/versions/:version/restore": { path: of("versions/1/restore"), expects: within(MANAGERS) },
};

/** A template of the one organisation or the other. */
export async function addTemplate(cast: Cast, isOurs: boolean): Promise<Pick<Ids, "template">> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const made = await api.call<{ template: { id: string } }>("POST", "/api/v1/templates", body());
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return { template: made.body.template.id };
}
