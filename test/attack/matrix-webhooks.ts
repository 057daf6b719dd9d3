import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import type { Cast, PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

/** Webhooks are those of the organisation that one acts in, also for who administers the hub. */
const ofOrganization = (who: PersonName, target: Target): number | "open" => {
  if (who !== "root" && !MANAGERS.includes(who)) return 403;
  return who !== "root" && (target === "own" || target === "sibling") ? "open" : 404;
};
/** What of a webhook is not there, whosever it is. */
const nothingOfIt = (who: PersonName): number => (who === "root" || MANAGERS.includes(who) ? 404 : 403);
const webhook = ({ webhook: id }: Ids): string => `/api/v1/webhooks/${id}`;
const hook = ({ hook: id }: Ids): string => `/api/v1/inbound-hooks/${id}`;
const WEBHOOK = { name: "Pager", url: "https://hooks.invalid/x", events: ["device.*"] };
const HOOK = { name: "Door bell", scheme: "token" };

/** Of the routes about webhooks, out and in. */
export const WEBHOOK_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/webhooks": {},
  // So many would be too many: what is wrong with it is looked at afterwards.
  "POST /api/v1/webhooks": { body: () => ({ ...WEBHOOK, url: "ftp://hooks.example" }) },
  "GET /api/v1/webhooks/:id": { path: webhook, expects: ofOrganization },
  "PATCH /api/v1/webhooks/:id": { path: webhook, body: () => ({ name: "Pager" }), expects: ofOrganization },
  "DELETE /api/v1/webhooks/:id": { uses: ["webhook"], path: webhook, expects: ofOrganization },
  "POST /api/v1/webhooks/:id/rotate-secret": { path: (ids) => `${webhook(ids)}/rotate-secret`, expects: ofOrganization },
  "POST /api/v1/webhooks/:id/test": { path: (ids) => `${webhook(ids)}/test`, expects: ofOrganization },
  "GET /api/v1/webhooks/:id/deliveries": { path: (ids) => `${webhook(ids)}/deliveries`, expects: ofOrganization },
  "POST /api/v1/webhooks/:id/deliveries/:delivery_id/replay": {
    path: (ids) => `${webhook(ids)}/deliveries/${newId()}/replay`,
    expects: nothingOfIt,
  },
  "POST /api/v1/webhooks/:id/replay": {
    path: (ids) => `${webhook(ids)}/replay`,
    body: () => ({ since: "2020-01-01T00:00:00Z" }),
    expects: ofOrganization,
  },
  "GET /api/v1/inbound-hooks": {},
  "POST /api/v1/inbound-hooks": { body: () => ({ ...HOOK, secret: "short" }) },
  "GET /api/v1/inbound-hooks/:id": { path: hook, expects: ofOrganization },
  "PATCH /api/v1/inbound-hooks/:id": { path: hook, body: () => ({ name: "Bell" }), expects: ofOrganization },
  "DELETE /api/v1/inbound-hooks/:id": { uses: ["hook"], path: hook, expects: ofOrganization },
  "POST /api/v1/inbound-hooks/:id/rotate-secret": {
    path: (ids) => `${hook(ids)}/rotate-secret`,
    body: () => ({}),
    expects: ofOrganization,
  },
  "POST /api/v1/hooks/:id": { path: (ids) => `/api/v1/hooks/${ids.hook}`, body: () => ({}) },
};

/** What these rows are about, in the one organisation or the other. */
export function webhooksIn(cast: Cast) {
  const made = async (isOurs: boolean, what: string, body: object): Promise<Record<string, { id: string }>> => {
    const answer = await cast.people[isOurs ? "owner" : "stranger"].api.call<Record<string, { id: string }>>(
      "POST",
      `/api/v1/${what}`,
      body,
    );
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  };
  const addWebhook = async (isOurs: boolean): Promise<string> => (await made(isOurs, "webhooks", WEBHOOK))["webhook"]?.id as string;
  const addHook = async (isOurs: boolean): Promise<string> => (await made(isOurs, "inbound-hooks", HOOK))["hook"]?.id as string;
  return {
    addWebhook,
    addHook,
    addBoth: async (isOurs: boolean) => ({ webhook: await addWebhook(isOurs), hook: await addHook(isOurs) }),
  };
}
