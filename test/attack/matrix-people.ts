import { newId } from "../../core/id.ts";
import type { PersonName, Who } from "./matrix-cast.ts";
import { MANAGERS, type Row, type Target } from "./matrix-row.ts";

/** They may do what they may on a single device. */
export const hasOneDevice = (who: Who): boolean => who === "guest" || who === "scoped";

/** The stranger is alone in his organisation: what is a sibling's is his own. */
const isMine = (who: PersonName, target: Target): boolean => target === "own" || (who === "stranger" && target === "sibling");
const mineAlone = (who: PersonName, target: Target): number | "open" => (isMine(who, target) ? "open" : 404);
const mineOrManaged = (who: PersonName, target: Target): number | "open" => {
  if (isMine(who, target) || (who === "root" && target !== "missing")) return "open";
  return target === "sibling" && (who === "owner" || who === "admin") ? "open" : 404;
};
/** Which organisation one acts in is the login's, and a script's token has none: 409. */
const mineToBeIn = (who: PersonName, target: Target): number => {
  const isThere = target === "own" || target === "sibling" || target === "inner" || (who === "root" && target === "foreign");
  return isThere ? 409 : 404;
};
const mineToManage = (who: PersonName, target: Target): number | "open" => {
  if (target === "missing" || (target === "foreign" && who !== "root")) return 404;
  if (who !== "root" && !MANAGERS.includes(who)) return 403;
  return target === "inner" ? 404 : "open";
};

const seesPerson = (who: PersonName, target: Target): number | "open" => {
  if (hasOneDevice(who)) return 403;
  const isThere = target === "own" || target === "sibling";
  return isThere || (who === "root" && target !== "missing") ? "open" : 404;
};

/** Of the routes about log-ins, accounts, tokens, organisations and people. */
export const PEOPLE_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/setup": {},
  "POST /api/v1/setup": { body: () => ({ token: "wrong", email: "x@example.org", password: "correct horse battery" }) },
  "POST /api/v1/auth/login": { body: () => ({ email: "owner@example.test", password: "wrong password" }) },
  "POST /api/v1/auth/refresh": { body: () => ({ refresh_token: "hxr_wrong" }) },
  // By a token of a script there is nothing to log out of.
  "POST /api/v1/auth/logout": { mayOwn: [] },
  "GET /api/v1/auth/logins": {},
  "DELETE /api/v1/auth/logins/:id": { uses: ["login"], path: ({ login }) => `/api/v1/auth/logins/${login}`, expects: mineAlone },
  "GET /api/v1/auth/me": {},
  "PATCH /api/v1/auth/me": { body: () => ({ name: "Somebody" }) },
  // Without the password nothing of it may happen: 403 for everybody.
  "DELETE /api/v1/auth/me": { body: () => ({ password: "wrong password" }), expects: () => 403 },
  "POST /api/v1/auth/register": { body: () => ({ email: `${newId()}@example.org`, password: "correct horse battery" }) },
  "POST /api/v1/auth/verify-email": { body: () => ({ token: "hxv_wrong" }) },
  "POST /api/v1/auth/verification": {},
  "POST /api/v1/auth/email": { body: () => ({ email: `${newId()}@example.org`, password: "wrong password" }), expects: () => 403 },
  "POST /api/v1/auth/password/forgot": { body: () => ({ email: "owner@example.test" }) },
  "POST /api/v1/auth/password/reset": { body: () => ({ token: "hxv_wrong", password: "correct horse battery" }) },
  "POST /api/v1/auth/password": {
    body: () => ({ current_password: "wrong password", password: "correct horse battery" }),
    expects: () => 403,
  },
  "PUT /api/v1/account/approval-pin": { body: () => ({ password: "wrong password", pin: "4711" }), expects: () => 403 },
  "DELETE /api/v1/account/approval-pin": { body: () => ({ password: "wrong password" }), expects: () => 403 },
  "POST /api/v1/access-tokens": { body: () => ({ kind: "service", name: `s-${newId()}` }), mayOwn: ["owner", "admin", "stranger", "root"] },
  "GET /api/v1/access-tokens": {},
  "DELETE /api/v1/access-tokens/:id": { uses: ["token"], path: ({ token }) => `/api/v1/access-tokens/${token}`, expects: mineOrManaged },
  "POST /api/v1/auth/organization": { body: ({ organization }) => ({ organization_id: organization }), expects: mineToBeIn },
  "GET /api/v1/organizations": {},
  "POST /api/v1/organizations": { body: () => ({ name: "Another" }) },
  "PATCH /api/v1/organizations/:id": { body: () => ({ name: "Villa" }) },
  "GET /api/v1/organizations/:id/members": {},
  "PATCH /api/v1/organizations/:id/members/:user_id": { body: () => ({ role: "viewer" }) },
  "DELETE /api/v1/organizations/:id/members/:user_id": { uses: ["user"], expects: mineToManage },
  "GET /api/v1/organizations/:id/grants": {},
  "POST /api/v1/organizations/:id/grants": { body: ({ user, device }) => ({ user_id: user, device: device.uid, role: "viewer" }) },
  "DELETE /api/v1/organizations/:id/grants/:user_id/:target_id": { uses: ["user", "device"] },
  "POST /api/v1/organizations/:id/invitations": { body: () => ({ email: `${newId()}@example.org`, role: "viewer" }) },
  "GET /api/v1/organizations/:id/invitations": {},
  "DELETE /api/v1/organizations/:id/invitations/:invitation_id": { uses: ["invitation"] },
  "POST /api/v1/invitations/accept": { body: () => ({ token: "hxi_wrong" }), mayOwn: [] },
  "POST /api/v1/invitations/register": { body: () => ({ token: "hxi_wrong", password: "correct horse battery" }) },
  "GET /api/v1/users": {},
  "GET /api/v1/users/:id": { path: ({ user }) => `/api/v1/users/${user}`, expects: seesPerson },
  "PATCH /api/v1/users/:id": {
    path: ({ user }) => `/api/v1/users/${user}`,
    body: () => ({ is_active: true }),
    expects: (who, target) => (who !== "root" ? 403 : target === "missing" ? 404 : "open"),
  },
};
