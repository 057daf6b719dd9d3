import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isOfAccount } from "../../api/authenticate.ts";
import type { Route } from "../../api/route.ts";
import { ROUTES } from "../../api/routes.ts";
import { newId } from "../../core/id.ts";
import { deviceRolePermissions, isPermission, type Permission, permissionSet, rolePermissions } from "../../core/permissions.ts";
import { ApiClient } from "../support/hub.ts";
import type { databases } from "../support/databases.ts";
import { addAutomations, AUTOMATION_ROWS } from "./matrix-automations.ts";
import { addSchedule, SCHEDULE_ROWS } from "./matrix-schedules.ts";
import { addAlerts, ALERT_ROWS } from "./matrix-alerts.ts";
import { ALEXA_ROWS } from "./matrix-alexa.ts";
import { addInsight, ANALYTICS_ROWS } from "./matrix-analytics.ts";
import { HOME_ROWS } from "./matrix-homes.ts";
import { HOME_ASSISTANT_ROWS } from "./matrix-home-assistant.ts";
import { HOMEKIT_ROWS } from "./matrix-homekit.ts";
import { addIrCode, IR_ROWS } from "./matrix-ir.ts";
import { addSensors, SENSOR_ROWS } from "./matrix-sensors.ts";
import { addImport, READING_ROWS } from "./matrix-readings.ts";
import { addTemplate, TEMPLATE_ROWS } from "./matrix-templates.ts";
import { hasOneDevice, PEOPLE_ROWS } from "./matrix-people.ts";
import { PLACE_ROWS, placesIn } from "./matrix-places.ts";
import { type Ids, type Row, type Target, TARGETS } from "./matrix-row.ts";
import { NOTIFICATION_ROWS, SETTINGS_ROWS } from "./matrix-settings.ts";
import { addTask, TASK_ROWS } from "./matrix-tasks.ts";
import { addOauthClient, OAUTH_ROWS } from "./matrix-oauth.ts";
import { WEBHOOK_ROWS, webhooksIn } from "./matrix-webhooks.ts";
import { type Cast, NOBODY, PEOPLE, type PersonName, startCast, type Who } from "./matrix-cast.ts";

const DEVICE: Row = { isOnDevice: true };
const ONE_USE: Row = { isOnDevice: true, uses: ["device"] };
const RETENTION = "/api/v1/devices/:id/series/:key/retention";
const ON_SERIES: Row = { isOnDevice: true, path: () => RETENTION.replace(":key", "t") };
const GUEST_BODY = { command: "set_relay", relay: 0, state: "ON" };

/** One row for each route. */
const ROWS: Readonly<Record<string, Row>> = {
  ...PEOPLE_ROWS,
  "POST /api/v1/provision/register": { body: () => ({ name: "x", device_class: "ir_hub" }) },
  "POST /api/v1/devices/claim": { body: () => ({ claim_code: "no code" }) },
  "POST /api/v1/devices/sensor-report": { body: () => ({ values: { t: 1 } }) },
  "GET /api/v1/commands/pending": {},
  "POST /api/v1/commands/:command_id/result": { path: () => `/api/v1/commands/${newId()}/result`, body: () => ({ status: "ok" }) },
  "POST /api/v1/devices/state-report": { body: () => ({ relays: [] }) },
  "POST /api/v1/devices/task-result": { body: () => ({ task_id: "none", results: [] }) },
  "POST /api/v1/devices/register": { body: () => ({ model: "x" }) },
  "GET /api/v1/devices": {},
  "POST /api/v1/devices": { body: () => ({ name: "x", device_class: "ir_hub" }) },
  "GET /api/v1/devices/:id": DEVICE,
  "PATCH /api/v1/devices/:id": { ...DEVICE, body: () => ({ name: "Kitchen" }) },
  "DELETE /api/v1/devices/:id": ONE_USE,
  "POST /api/v1/devices/:id/release": ONE_USE,
  "GET /api/v1/devices/:id/credentials": DEVICE,
  "POST /api/v1/devices/:id/rotate-token": ONE_USE,
  "POST /api/v1/devices/:id/revoke": { ...ONE_USE, body: () => ({}) },
  "POST /api/v1/devices/:id/certificates": { ...DEVICE, body: () => ({ csr: "no request" }) },
  "POST /api/v1/devices/:id/task-key": DEVICE,
  "POST /api/v1/devices/:id/commands": { ...DEVICE, body: () => GUEST_BODY },
  "GET /api/v1/devices/:id/commands": DEVICE,
  [`GET ${RETENTION}`]: ON_SERIES,
  [`PUT ${RETENTION}`]: { ...ON_SERIES, body: () => ({ days: 7 }) },
  [`DELETE ${RETENTION}`]: ON_SERIES,
  ...HOME_ROWS,
  ...IR_ROWS,
  ...HOMEKIT_ROWS,
  ...SENSOR_ROWS,
  ...PLACE_ROWS,
  ...SETTINGS_ROWS,
  ...NOTIFICATION_ROWS,
  ...AUTOMATION_ROWS,
  ...WEBHOOK_ROWS,
  ...SCHEDULE_ROWS,
  ...ALERT_ROWS,
  ...ALEXA_ROWS,
  ...ANALYTICS_ROWS,
  ...HOME_ASSISTANT_ROWS,
  "GET /api/v1/risk-policy": {},
  "PUT /api/v1/risk-policy": { body: () => ({ threshold: 80 }) },
  "POST /api/v1/risk-policy/assess": { ...DEVICE, body: ({ device }) => ({ device: device.uid, actions: [GUEST_BODY] }) },
  ...TEMPLATE_ROWS,
  ...TASK_ROWS,
  ...READING_ROWS,
  ...OAUTH_ROWS,
  "GET /api/v1/readings/latest": { isOnDevice: true, path: ({ device }) => `/api/v1/readings/latest?device=${device.uid}` },
  "GET /api/v1/readings/export": { isOnDevice: true, path: ({ device }) => `/api/v1/readings/export?device=${device.uid}` },
  "GET /api/v1/readings/chart": { isOnDevice: true, path: ({ device }) => `/api/v1/readings/chart?series=${device.uid}:t` },
  "GET /api/v1/mqtt/topic-rights": {
    isOnDevice: true,
    path: ({ device }) => `/api/v1/mqtt/topic-rights?topic=hexa/${device.uid}/availability`,
  },
  "GET /api/v1/readings": { isOnDevice: true, path: ({ device }) => `/api/v1/readings?device=${device.uid}&key=t` },
  "GET /api/v1/events": {},
  "POST /api/v1/events": { ...DEVICE, body: ({ device }) => ({ type: "custom.matrix", data: {}, entity_id: device.id }) },
  "GET /api/v1/events/metrics": {},
  "GET /api/v1/events/patterns": {},
  "GET /api/v1/events/:id": { ...DEVICE, path: ({ event }) => `/api/v1/events/${event}` },
  "GET /api/v1/events/:id/chain": { ...DEVICE, path: ({ event }) => `/api/v1/events/${event}/chain` },
  "GET /api/v1/audit": {},
  "GET /api/v1/audit/report": {},
  "GET /api/v1/audit/export": {},
  "GET /api/v1/audit/verify": {},
  "GET /api/v1/audit/checkpoints": {},
  "GET /api/v1/audit/checkpoints/newest": {},
  "POST /api/v1/audit/checkpoints": {},
  "GET /api/v1/audit/keys": {},
  "POST /api/v1/audit/keys/rotate": {},
  "POST /api/v1/demo": { mayOwn: [] },
  "DELETE /api/v1/demo": {},
  "GET /api/v1/demo": {},
  "GET /api/v1/signing-keys": {},
  "POST /api/v1/signing-keys/rotate": { body: () => ({ purpose: "user_jwt" }) },
  "GET /health": {},
};

const keyOf = ({ method, path }: Route): string => `${method} ${path}`;
/** Answers that let the caller do it, or say that something else stands in the way. */
const OPEN = new Set([200, 201, 202, 204, 400, 409, 422, 428, 502, 503, 504]);

/** Every route has its row, and every row its route. */
export const assertRows = (): void => assert.deepEqual(Object.keys(ROWS).toSorted(), ROUTES.map(keyOf).toSorted());

const mayOnOwn = (name: PersonName, permission: Permission): boolean => {
  if (hasOneDevice(name)) return (deviceRolePermissions(name === "guest" ? "operator" : "viewer") & permissionSet([permission])) !== 0;
  return (rolePermissions(name === "stranger" ? "owner" : (name as "owner")) & permissionSet([permission])) !== 0;
};

/** Whether something of another organisation can stand behind one's own. */
const hasInner = ({ method, path }: Route): boolean => path.split(":").length > 2 || (method === "POST" && path.endsWith("/grants"));

/** The status that has to come; "open" for what {@link OPEN} has, undefined where the route is not about who asks. */
function expected(route: Route, row: Row, who: Who, target: Target): number | "open" | undefined {
  const { access } = route;
  if (access === "none") return undefined;
  if (access === "provision" || access === "device") return 401;
  if (who === "anonymous" || who === "expired" || who === "revoked") return 401;
  if (who === "scoped" && isOfAccount(route)) return 403;
  if (row.expects) return row.expects(who, target);
  const hasTarget = row.isOnDevice === true || route.path.includes(":");
  if (isPermission(access)) {
    if (who !== "root" && !mayOnOwn(who, access)) return 403;
    if (!hasTarget || target === "own") return "open";
    if (row.isOnDevice && target === "inner") return who === "root" ? "open" : 404;
    if (target === "missing") return 404;
    if (target === "inner") return hasInner(route) ? 404 : "open";
    if (who === "root") return "open";
    return target === "foreign" || hasOneDevice(who) ? 404 : "open";
  }
  if (access === "platform") return who === "root" ? "open" : 403;
  return row.mayOwn === undefined || row.mayOwn.includes(who) ? "open" : undefined;
}

/** Mails are written, and go to a log that nobody reads. */
const MAIL = { NODE_ENV: "development", HEXA_REGISTRATION: "open" };

/** A file for each engine: together they take longer than one may. */
export function testMatrix({ name, skip, open }: ReturnType<typeof databases>[number]): void {
  describe(`${name}: every route, whoever calls, whatever it is about`, { skip }, () => {
    test("is open to who has the permission, and tells nobody else what there is", { timeout: 300_000 }, async (context) => {
      await using database = await open();
      await using cast = await startCast(database.url, MAIL);
      const attempts = await attackAll(cast);
      context.diagnostic(`${attempts} attempts`);
      assert.ok(attempts >= 2_000, `${attempts}`);
    });
  });
}

async function attackAll(cast: Cast): Promise<number> {
  const { people, nobody, hub } = cast;
  const pool = {
    ours: { spare: await cast.addDevice("ours") },
    theirs: { spare: await cast.addDevice("theirs") },
  };
  const invite = async (of: "owner" | "stranger"): Promise<string> => {
    const organization = of === "owner" ? cast.ours : cast.theirs;
    const { body } = await people[of].api.call<{ invitation: { id: string } }>(
      "POST",
      `/api/v1/organizations/${organization}/invitations`,
      {
        email: `${newId()}@example.org`,
        role: "viewer",
      },
    );
    return body.invitation.id;
  };
  const invitations = { ours: await invite("owner"), theirs: await invite("stranger") };
  const viewer = await cast.addViewer();
  const tokenOf = async (who: PersonName): Promise<string> =>
    (await people[who].api.call<{ id: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: `t-${newId()}` })).body.id;
  const tokens = { owner: await tokenOf("owner"), stranger: await tokenOf("stranger") };
  const contactBy = async (who: "owner" | "stranger"): Promise<string> =>
    (await people[who].api.call<{ contact: { id: string } }>("POST", "/api/v1/contacts", { name: `of ${who}` })).body.contact.id;
  const contacts = { owner: await contactBy("owner"), stranger: await contactBy("stranger") };
  const eventOf = async (who: "owner" | "stranger", { id }: { readonly id: string }): Promise<string> => {
    const { body } = await people[who].api.call<{ data: { id: string }[] }>("GET", `/api/v1/events?entity_id=${id}&limit=1`);
    return body.data[0]?.id ?? assert.fail("nothing happened to the device");
  };
  const events = {
    owner: await eventOf("owner", pool.ours.spare),
    stranger: await eventOf("stranger", pool.theirs.spare),
    granted: await eventOf("owner", cast.granted),
  };

  const hooks = webhooksIn(cast);
  const called = { ours: await hooks.addBoth(true), theirs: await hooks.addBoth(false) };

  const making = placesIn(cast);
  const places = { ours: await making.addPlaces(true, cast.granted.id), theirs: await making.addPlaces(false, pool.theirs.spare.id) };

  const automations = {
    ours: await addAutomations(cast, true, pool.ours.spare),
    theirs: await addAutomations(cast, false, pool.theirs.spare),
  };
  const schedules = { ours: await addSchedule(cast, true), theirs: await addSchedule(cast, false) };

  const templates = { ours: await addTemplate(cast, true), theirs: await addTemplate(cast, false) };

  const alerts = { ours: await addAlerts(cast, true), theirs: await addAlerts(cast, false) };

  const tasks = {
    ours: await addTask(cast, true, pool.ours.spare),
    theirs: await addTask(cast, false, pool.theirs.spare),
    granted: await addTask(cast, true, cast.granted),
  };

  const irCodes = {
    ours: await addIrCode(cast, true, pool.ours.spare),
    theirs: await addIrCode(cast, false, pool.theirs.spare),
    granted: await addIrCode(cast, true, cast.granted),
  };

  const virtualSensors = {
    ours: await addSensors(cast, true, pool.ours.spare),
    theirs: await addSensors(cast, false, pool.theirs.spare),
    granted: await addSensors(cast, true, cast.granted),
  };

  const insights = {
    ours: await addInsight(cast, true, pool.ours.spare),
    theirs: await addInsight(cast, false, pool.theirs.spare),
    granted: await addInsight(cast, true, cast.granted),
  };
  const readingImports = { ours: await addImport(cast, true, pool.ours.spare), theirs: await addImport(cast, false, pool.theirs.spare) };
  const oauthClients = { ours: await addOauthClient(cast, true), theirs: await addOauthClient(cast, false) };

  const side = (isOurs: boolean): Ids => ({
    ...automations[isOurs ? "ours" : "theirs"],
    ...schedules[isOurs ? "ours" : "theirs"],
    ...alerts[isOurs ? "ours" : "theirs"],
    ...templates[isOurs ? "ours" : "theirs"],
    ...places[isOurs ? "ours" : "theirs"],
    ...called[isOurs ? "ours" : "theirs"],
    device: isOurs ? pool.ours.spare : pool.theirs.spare,
    task: isOurs ? tasks.ours : tasks.theirs,
    irCode: isOurs ? irCodes.ours : irCodes.theirs,
    virtualSensor: isOurs ? virtualSensors.ours : virtualSensors.theirs,
    insight: isOurs ? insights.ours : insights.theirs,
    readingImport: isOurs ? readingImports.ours : readingImports.theirs,
    oauthClient: isOurs ? oauthClients.ours : oauthClients.theirs,
    organization: isOurs ? cast.ours : cast.theirs,
    user: isOurs ? viewer.id : people.stranger.userId,
    invitation: isOurs ? invitations.ours : invitations.theirs,
    login: people[isOurs ? "owner" : "stranger"].loginIds[0] as string,
    token: isOurs ? tokens.owner : tokens.stranger,
    contact: isOurs ? contacts.owner : contacts.stranger,
    event: isOurs ? events.owner : events.stranger,
    notification: people[isOurs ? "owner" : "stranger"].notificationIds[0] as string,
  });
  const none = (): Ids => ({
    device: { id: newId(), uid: `relay-${newId().slice(-10)}` },
    organization: newId(),
    user: newId(),
    invitation: newId(),
    login: newId(),
    token: newId(),
    site: newId(),
    room: newId(),
    project: newId(),
    relationship: newId(),
    alertRule: newId(),
    alert: newId(),
    contact: newId(),
    event: newId(),
    notification: newId(),
    automation: newId(),
    scene: newId(),
    run: newId(),
    webhook: newId(),
    hook: newId(),
    schedule: newId(),
    template: newId(),
    task: newId(),
    irCode: newId(),
    virtualSensor: newId(),
    insight: newId(),
    readingImport: newId(),
    oauthClient: newId(),
  });

  /** What is used up is made anew for the one attempt that will. */
  async function ownOf(who: PersonName, row: Row): Promise<Ids> {
    const isOurs = who !== "stranger";
    const ids = { ...side(isOurs) };
    if (hasOneDevice(who) && row.isOnDevice === true)
      Object.assign(ids, {
        device: cast.granted,
        event: events.granted,
        task: tasks.granted,
        irCode: irCodes.granted,
        virtualSensor: virtualSensors.granted,
        insight: insights.granted,
      });
    for (const used of row.uses ?? []) {
      if (used === "device") {
        if (!hasOneDevice(who)) ids.device = await cast.addDevice(isOurs ? "ours" : "theirs");
      } else if (used === "user") {
        if (isOurs) ids.user = (await cast.addViewer()).id;
      } else if (used === "invitation") ids.invitation = await invite(isOurs ? "owner" : "stranger");
      else if (used === "login") ids.login = people[who].loginIds.pop() as string;
      else if (used === "notification") ids.notification = people[who].notificationIds.pop() as string;
      else if (used === "token") ids.token = await tokenOf(who);
      else if (used === "contact") ids.contact = await contactBy(isOurs ? "owner" : "stranger");
      else if (used === "task") ids.task = await addTask(cast, isOurs, ids.device);
      else if (used === "webhook") ids.webhook = await hooks.addWebhook(isOurs);
      else if (used === "oauthClient") ids.oauthClient = await addOauthClient(cast, isOurs);
      else if (used === "hook") ids.hook = await hooks.addHook(isOurs);
      else await making.renew(isOurs, ids, used);
    }
    if (row.uses?.includes("project") && row.uses.includes("device")) {
      await making.join(isOurs, ids.project, ids.device.id);
    }
    if (row.uses?.includes("user") && row.uses.includes("device")) {
      const grant = { user_id: ids.user, device: ids.device.id, role: "viewer" };
      await people[isOurs ? "owner" : "stranger"].api.call("POST", `/api/v1/organizations/${ids.organization}/grants`, grant);
    }
    return ids;
  }

  async function idsFor(who: Who, row: Row, target: Target): Promise<Ids> {
    const person = PEOPLE.find((one) => one === who);
    const isOurs = who !== "stranger";
    if (target === "own" && person) return await ownOf(person, row);
    if (target === "missing") return none();
    if (target === "foreign" || target === "inner") {
      const foreign = who === "root" && row.uses ? await ownOf("stranger", row) : side(!isOurs);
      return target === "foreign" ? foreign : { ...foreign, organization: isOurs ? cast.ours : cast.theirs };
    }
    // Somebody else's of the same organisation, where it has somebody else.
    return row.uses ? await ownOf(!isOurs ? "stranger" : who === "owner" ? "admin" : "owner", row) : side(isOurs);
  }

  const apiOf = (who: Who): ApiClient => {
    const person = PEOPLE.find((one) => one === who);
    if (person) return people[person].api;
    const api = new ApiClient(hub.http);
    api.token = nobody[who as (typeof NOBODY)[number]];
    return api;
  };
  /** What no answer to somebody of the one organisation may hold of the other. */
  const marks = (isOurs: boolean): string[] => {
    const { device, ...ids } = side(isOurs);
    return [device.id, device.uid, ...Object.values(ids)];
  };

  async function attack(route: Route, row: Row, { who, target }: { who: Who; target: Target }): Promise<string> {
    const ids = await idsFor(who, row, target);
    const deviceRef = Math.random() < 0.5 ? ids.device.uid : ids.device.id;
    const path = (row.path?.(ids) ?? route.path)
      .replace("/devices/:id", `/devices/${deviceRef}`)
      .replace("/organizations/:id", `/organizations/${ids.organization}`)
      .replace(":user_id", ids.user)
      .replace(":target_id", ids.device.id)
      .replace(":invitation_id", ids.invitation);
    // What others look at too is not changed: 428 says as well that one was let in.
    const condition = { ...row.headers, ...(route.match === "required" && row.uses ? { "if-match": "*" } : {}) };
    const { status, body } = await apiOf(who).call(route.method, path, row.body?.(ids), condition);
    const text = JSON.stringify(body);
    const about = `${who}, ${target}: ${route.method} ${path} answered ${status} ${text.slice(0, 300)}`;
    assert.ok(status < 500 || OPEN.has(status), about);
    const wanted = expected(route, row, who, target);
    if (wanted === "open") assert.ok(OPEN.has(status), about);
    else if (wanted !== undefined) assert.equal(status, wanted, about);
    if (who !== "root") for (const mark of marks(who === "stranger")) assert.ok(!text.includes(mark) || path.includes(mark), about);
    // What may differ between what is foreign and what is missing: the ids that were asked for, and the request's own.
    return `${status} ${text.replaceAll(/"request_id":"[^"]*"/g, "")}`;
  }

  let attempts = 0;
  for (const route of ROUTES) {
    const row = ROWS[keyOf(route)] as Row;
    for (const who of [...PEOPLE, ...NOBODY]) {
      const seen = new Map<Target, string>();
      // Passwords are slow on purpose, and nobody is told apart there.
      for (const target of route.access === "none" ? (["own"] as const) : TARGETS) {
        seen.set(target, await attack(route, row, { who, target }));
        attempts++;
      }
      if (who !== "root" && route.path.includes(":")) assert.equal(seen.get("foreign"), seen.get("missing"), `${who}: ${keyOf(route)}`);
    }
  }
  return attempts;
}
