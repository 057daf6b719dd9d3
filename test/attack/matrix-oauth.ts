import assert from "node:assert/strict";
import type { Cast, PersonName } from "./matrix-cast.ts";
import type { Row, Target } from "./matrix-row.ts";

const PROGRAM = { name: "Alexa", redirect_uris: ["https://layla.amazon.com/api/skill/link/M2"], scopes: ["devices"] };

/** Programs are made and removed by owners, and by who administers the hub. */
const ofOwners = (who: PersonName, target: Target): number | "open" => {
  if (who === "root") return target === "missing" ? 404 : "open";
  if (who !== "owner" && who !== "stranger") return 403;
  return target === "own" || target === "sibling" ? "open" : 404;
};

/** Of the routes about programs that accounts are linked with. */
export const OAUTH_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/oauth-clients": {},
  // So many would be too many: what is wrong with it is looked at afterwards.
  "POST /api/v1/oauth-clients": { body: () => ({ ...PROGRAM, redirect_uris: ["ftp://layla.amazon.com/"] }) },
  "POST /api/v1/oauth-clients/:id/rotate-secret": {
    path: ({ oauthClient }) => `/api/v1/oauth-clients/${oauthClient}/rotate-secret`,
    expects: ofOwners,
  },
  "DELETE /api/v1/oauth-clients/:id": {
    uses: ["oauthClient"],
    path: ({ oauthClient }) => `/api/v1/oauth-clients/${oauthClient}`,
    expects: ofOwners,
  },
};

export async function addOauthClient(cast: Cast, isOurs: boolean): Promise<string> {
  const { api } = cast.people[isOurs ? "owner" : "stranger"];
  const { status, body } = await api.call<{ client: { client_id: string } }>("POST", "/api/v1/oauth-clients", PROGRAM);
  assert.equal(status, 201, JSON.stringify(body));
  return body.client.client_id;
}
