import { newId } from "../../core/id.ts";
import type { PersonName } from "./matrix-cast.ts";
import { type Ids, MANAGERS, type Row, type Target } from "./matrix-row.ts";

/** Of a route about what there is once only and for everybody, or about a name that whoever may can give to anything. */
const mayBe =
  (names: readonly PersonName[], status: number) =>
  (who: PersonName): number =>
    names.includes(who) ? status : 403;
const OWNERS: readonly PersonName[] = ["owner", "stranger", "root"];
const ROOT: readonly PersonName[] = ["root"];
const MEMBERS: readonly PersonName[] = ["owner", "admin", "operator", "viewer", "stranger", "root"];
/** Contacts are those of the organisation that one acts in, also for who administers the hub. */
const contactOf =
  (names: readonly PersonName[]) =>
  (who: PersonName, target: Target): number | "open" => {
    if (who !== "root" && !names.includes(who)) return 403;
    return who !== "root" && (target === "own" || target === "sibling") ? "open" : 404;
  };
const pathOfContact = ({ contact }: Ids): string => `/api/v1/contacts/${contact}`;
/** Nobody has it: what there is of each organisation has tests of its own (test/api/settings.test.ts). */
const SETTING = "settings/matrix.none";
/** It is let in, and then refused for what it looks like. */
const SECRET = "settings/matrix.password";
const FLAG_ID = newId();

/** Of the routes about one's notifications: they are nobody's by a token that is limited. */
const byWholeAccount = (who: PersonName): number | "open" => (who === "scoped" ? 403 : "open");
/** The stranger is alone in his organisation: what is a sibling's is his own. */
const toldTo = (who: PersonName, target: Target): number | "open" =>
  target === "own" || (who === "stranger" && target === "sibling") ? "open" : 404;

export const NOTIFICATION_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/notifications": { expects: byWholeAccount },
  "GET /api/v1/notifications/stream": { expects: byWholeAccount },
  "GET /api/v1/notifications/unread-count": { expects: byWholeAccount },
  "POST /api/v1/notifications/read-all": { body: () => ({ up_to: 0 }), expects: byWholeAccount },
  "POST /api/v1/notifications/:id/read": {
    uses: ["notification"],
    path: ({ notification }) => `/api/v1/notifications/${notification}/read`,
    expects: toldTo,
  },
  "DELETE /api/v1/notifications/:id": {
    uses: ["notification"],
    path: ({ notification }) => `/api/v1/notifications/${notification}`,
    expects: toldTo,
  },
};

/** Of the routes about preferences, settings, feature flags and contacts. */
export const SETTINGS_ROWS: Readonly<Record<string, Row>> = {
  "GET /api/v1/preferences": {},
  "PATCH /api/v1/preferences": { body: () => ({ dashboard_settings: { theme: "dark" } }) },
  "GET /api/v1/contacts": {},
  "POST /api/v1/contacts": { body: () => ({ name: "Caretaker", phone: "+49301234567" }) },
  "GET /api/v1/contacts/:id": { path: pathOfContact, expects: contactOf(MEMBERS) },
  "PATCH /api/v1/contacts/:id": { path: pathOfContact, body: () => ({ name: "Janitor" }), expects: contactOf(MANAGERS) },
  "DELETE /api/v1/contacts/:id": { uses: ["contact"], path: pathOfContact, expects: contactOf(MANAGERS) },
  "GET /api/v1/settings": {},
  "GET /api/v1/settings/:key": { path: () => `/api/v1/${SETTING}`, expects: mayBe(MEMBERS, 404) },
  "PUT /api/v1/settings/:key": { path: () => `/api/v1/${SECRET}`, body: () => ({ value: 1 }), expects: mayBe(OWNERS, 400) },
  "DELETE /api/v1/settings/:key": { path: () => `/api/v1/${SETTING}`, expects: mayBe(OWNERS, 404) },
  "GET /api/v1/platform/settings": {},
  "GET /api/v1/platform/settings/:key": { path: () => `/api/v1/platform/${SETTING}`, expects: mayBe(ROOT, 404) },
  "PUT /api/v1/platform/settings/:key": {
    path: () => `/api/v1/platform/${SECRET}`,
    body: () => ({ value: 1 }),
    expects: mayBe(ROOT, 400),
  },
  "DELETE /api/v1/platform/settings/:key": { path: () => `/api/v1/platform/${SETTING}`, expects: mayBe(ROOT, 404) },
  "GET /api/v1/feature-flags/evaluate": {},
  "GET /api/v1/feature-flags": {},
  "POST /api/v1/feature-flags": { body: () => ({ name: `flag-${newId()}` }) },
  "GET /api/v1/feature-flags/:id": { path: () => `/api/v1/feature-flags/${FLAG_ID}`, expects: mayBe(ROOT, 404) },
  "PATCH /api/v1/feature-flags/:id": {
    path: () => `/api/v1/feature-flags/${FLAG_ID}`,
    body: () => ({ enabled: true }),
    expects: mayBe(ROOT, 404),
  },
  "DELETE /api/v1/feature-flags/:id": { path: () => `/api/v1/feature-flags/${FLAG_ID}`, expects: mayBe(ROOT, 404) },
  "GET /api/v1/encryption": {},
  "POST /api/v1/encryption/rotate": {},
};
