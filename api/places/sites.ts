import Type, { type Static } from "typebox";
import { HubError } from "../../core/errors.ts";
import { isTimeZone, type Site } from "../../core/place.ts";
import { usersGrantedOn } from "../../store/site-grants.ts";
import { createSite, deleteSite, getSite, listSites, lockSite, type SiteFields, updateSite } from "../../store/sites.ts";
import { Cursor, IdParams, Limit, line, pageOf } from "../fields.ts";
import { type AuditNote, defineRoute } from "../route.ts";
import { changeable, Description, Name, Search } from "./fields.ts";
import { placeVersion, siteJson, SiteView } from "./representation.ts";
import { followersOf, planAnew, tellOfMove } from "./site-followers.ts";

const Body = Type.Object(
  {
    name: Name,
    time_zone: Type.String({ minLength: 1, maxLength: 64, description: "IANA" }),
    description: Type.Optional(Description),
    latitude: Type.Optional(Type.Number({ minimum: -90, maximum: 90, description: "Degrees, with longitude or not at all" })),
    longitude: Type.Optional(Type.Number({ minimum: -180, maximum: 180 })),
    address: Type.Optional(line(500)),
  },
  { additionalProperties: false, title: "SiteRequest" },
);
const change = changeable(Body, "Site");
const OneSite = Type.Object({ site: SiteView }, { title: "OneSite" });
const EXAMPLE = { name: "Villa", time_zone: "Europe/Zurich", latitude: 47.37, longitude: 8.54, address: "Seestrasse 1, Zürich" };

export const list = defineRoute({
  method: "GET",
  path: "/api/v1/sites",
  tag: "Places",
  summary: "The sites that you may see",
  description: "Whoever was given single devices sees the sites where they are.",
  access: "device.read",
  query: Type.Object({ limit: Limit(200, 50), cursor: Cursor, search: Search }, { additionalProperties: false }),
  replies: { 200: { description: "Oldest first", schema: pageOf(SiteView, "SitePage") } },
  async handler({ context, scope, query: { limit = 50, cursor: after, search } }) {
    const page = await listSites(context.store.db, scope, { limit, after, search });
    return { status: 200, body: { data: page.items.map(siteJson), next_cursor: page.next } };
  },
});

export const create = defineRoute({
  method: "POST",
  path: "/api/v1/sites",
  tag: "Places",
  summary: "Make a site: a building or a plot",
  access: "place.manage",
  body: Body,
  bodyExample: EXAMPLE,
  replies: { 201: { description: "Made", schema: OneSite } },
  errors: ["quota_exceeded"],
  handler: ({ principal, body, commit }) =>
    commit(async (db) => {
      const site = await createSite(db, principal.organizationId, fieldsOf(body));
      return { answer: answerOf(site, 201), audit: [note(site, "site.create", { name: site.name })] };
    }),
});

export const show = defineRoute({
  method: "GET",
  path: "/api/v1/sites/:id",
  tag: "Places",
  summary: "One site",
  access: "device.read",
  params: IdParams,
  replies: { 200: { description: "The site", schema: OneSite } },
  errors: ["not_found"],
  async handler({ context, scope, params }) {
    return answerOf(await getSite(context.store.db, scope, params.id.toLowerCase()), 200);
  },
});

export const update = defineRoute({
  method: "PATCH",
  path: "/api/v1/sites/:id",
  tag: "Places",
  summary: "Change a site",
  description: "A merge patch: null takes away what need not be there.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  body: change.Patch,
  bodyExample: { name: "Villa Sole", latitude: null, longitude: null },
  replies: { 200: { description: "As it is now", schema: OneSite } },
  errors: ["not_found"],
  handler: ({ context, scope, params, body, match, commit }) =>
    commit(async (db) => {
      const before = siteJson(await lockSite(db, scope, params.id.toLowerCase()));
      match(placeVersion(before));
      const site = await updateSite(db, before.id, fieldsOf(change.apply(before, body)));
      const done = { answer: answerOf(site, 200), audit: [note(site, "site.update", { changed: Object.keys(body) })] };
      if (!isElsewhere(site, before)) return done;
      const followers = await followersOf(db, site.id);
      await planAnew(context, db, followers);
      return { ...done, afterwards: () => tellOfMove(context, followers) };
    }),
});

export const remove = defineRoute({
  method: "DELETE",
  path: "/api/v1/sites/:id",
  tag: "Places",
  summary: "Remove a site with its rooms",
  description: "Its devices stay, in no room. What was granted on the site holds no more.",
  access: "place.manage",
  match: "optional",
  params: IdParams,
  replies: { 204: { description: "Gone" } },
  errors: ["not_found"],
  handler: ({ context, scope, params, match, commit }) =>
    commit(async (db) => {
      const site = await lockSite(db, scope, params.id.toLowerCase());
      match(placeVersion(siteJson(site)));
      const granted = await usersGrantedOn(db, [site.id]);
      const followers = await followersOf(db, site.id);
      const gone = await deleteSite(db, site.id);
      await planAnew(context, db, followers);
      await context.alerts.moved(db, site.organizationId);
      return {
        answer: { status: 204 },
        audit: [note(site, "site.delete", { name: site.name, ...gone, grants: granted.length })],
        afterwards: async () => {
          await context.access.changed(granted);
          await tellOfMove(context, followers);
        },
      };
    }),
});

const isElsewhere = (site: Site, before: ReturnType<typeof siteJson>): boolean =>
  site.timeZone !== before.time_zone || site.latitude !== before.latitude || site.longitude !== before.longitude;

/** Throws `validation_error`. */
function fieldsOf({ name, description, time_zone: timeZone, latitude, longitude, address }: Static<typeof Body>): SiteFields {
  if (!isTimeZone(timeZone)) throw wrong("/time_zone", "is no time zone of the IANA database");
  if ((latitude === undefined) !== (longitude === undefined)) throw wrong("/latitude", "goes with longitude");
  return {
    name,
    timeZone,
    description: description ?? null,
    latitude: latitude ?? null,
    longitude: longitude ?? null,
    address: address ?? null,
  };
}

const wrong = (path: string, message: string): HubError =>
  new HubError("validation_error", `${path} ${message}`, { details: [{ path, message }] });

function answerOf(site: Site, status: 200 | 201) {
  const json = siteJson(site);
  return { status, version: placeVersion(json), body: { site: json } };
}

function note({ id, organizationId }: Site, action: string, details: Record<string, unknown>): AuditNote {
  return { organizationId, action, resourceType: "site", resourceId: id, details };
}
