import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROUTES } from "../../api/routes.ts";
import { newId } from "../../core/id.ts";
import { isPermission } from "../../core/permissions.ts";
import { startVirtualDevice } from "../../firmware/virtual/device.ts";
import { databases } from "../support/databases.ts";
import type { ApiClient } from "../support/hub.ts";
import { startTwoOrganizations } from "./two-organizations.ts";

const MISSING_UID = "relay-doesnotexist";

/** What was answered, without what has to differ: the ids that were asked for and the request's own. */
async function seen(api: ApiClient, asked: { method: string; path: string; body?: unknown }, id: string): Promise<string> {
  const { status, body, headers } = await api.call(asked.method, asked.path, asked.body);
  const { request_id: _, ...rest } = body;
  return `${status} ${headers.get("www-authenticate")} ${JSON.stringify(rest)}`.replaceAll(id, "<id>");
}

/** Lists that want a question, and a file that is no JSON. */
const ASK_MORE = new Set([
  "/api/v1/readings",
  "/api/v1/readings/chart",
  "/api/v1/analytics/metrics/series",
  "/api/v1/search",
  "/api/v1/audit/export",
  "/api/v1/notifications/stream",
  "/api/v1/live",
  "/api/v1/mqtt/topic-rights",
]);

async function addAlert(api: ApiClient): Promise<{ rule: { id: string }; alert: { id: string } }> {
  const condition = { kind: "threshold", key: "t", above: 1_000 };
  const made = await api.call<{ rule: { id: string } }>("POST", "/api/v1/alert-rules", { name: "Hers", severity: "info", condition });
  const raised = await api.call<{ alert: { id: string } }>("POST", "/api/v1/alerts", { title: "Hers", severity: "info" });
  assert.deepEqual([made.status, raised.status], [201, 201]);
  return { ...made.body, ...raised.body };
}

async function addContact(api: ApiClient): Promise<{ id: string }> {
  const { status, body } = await api.call<{ contact: { id: string } }>("POST", "/api/v1/contacts", {
    name: "Alice's caretaker",
    phone: "+4930123456",
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.contact;
}

async function addTemplate(api: ApiClient): Promise<{ id: string }> {
  const wanted = { name: "Hers", actions: [{ command: "identify" }] };
  const { status, body } = await api.call<{ template: { id: string } }>("POST", "/api/v1/templates", wanted);
  assert.equal(status, 201, JSON.stringify(body));
  return body.template;
}

async function addIrCode(api: ApiClient, device: string): Promise<{ id: string }> {
  const wanted = { format: "timings", name: "Hers", timings: [900, -450] };
  const { status, body } = await api.call<{ ir_code: { id: string } }>("POST", `/api/v1/devices/${device}/ir-codes`, wanted);
  assert.equal(status, 201, JSON.stringify(body));
  return body.ir_code;
}

/** A sensor `t` that she has said something about, and a virtual one. */
async function addSensors(api: ApiClient, device: string): Promise<{ id: string }> {
  const said = await api.call("PUT", `/api/v1/devices/${device}/sensors/t`, { name: "Hers" }, { "if-match": "*" });
  const wanted = { device, key: "twice", name: "Hers", expression: "t * 2", inputs: { t: { device, key: "t" } } };
  const made = await api.call<{ virtual_sensor: { id: string } }>("POST", "/api/v1/virtual-sensors", wanted);
  assert.deepEqual([said.status, made.status], [200, 201]);
  return made.body.virtual_sensor;
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: another organisation`, { skip }, () => {
    test("sees a foreign id exactly as a missing one on every route, and changes nothing there", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const { alice, mallory, admin } = two;
      const device = await alice.api.addDevice({ name: "Alice's relay" });
      const token = await alice.api.call<{ id: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "hers" });
      const { invitation } = (
        await alice.api.call<{ invitation: { id: string } }>("POST", `/api/v1/organizations/${alice.organizationId}/invitations`, {
          email: "bob@example.test",
          role: "viewer",
        })
      ).body;
      const ofOrganization = async () =>
        Promise.all(
          ["members", "grants", "invitations"].map(
            async (what) => (await alice.api.call("GET", `/api/v1/organizations/${alice.organizationId}/${what}`)).body,
          ),
        );
      const before = await alice.api.call("GET", `/api/v1/devices/${device.uid}`);
      const organizationBefore = await ofOrganization();
      const withId = ROUTES.filter(({ path }) => path.includes(":id"));
      assert.ok(withId.length >= 9);
      const { site } = (await alice.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Hers", time_zone: "UTC" })).body;
      const { room } = (await alice.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Hers", site_id: site.id })).body;
      const { project } = (await alice.api.call<{ project: { id: string } }>("POST", "/api/v1/projects", { name: "Hers" })).body;
      const { relationship } = (
        await alice.api.call<{ relationship: { id: string } }>("POST", "/api/v1/relationships", {
          from_entity: site.id,
          to_entity: device.id,
          relationship_type: "feeds",
        })
      ).body;
      const contact = await addContact(alice.api);
      const { rule, alert } = await addAlert(alice.api);
      const template = await addTemplate(alice.api);
      const irCode = await addIrCode(alice.api, device.uid);
      const virtualSensor = await addSensors(alice.api, device.uid);
      const foreign: Record<string, string> = {
        "alert-rules": rule.id,
        alerts: alert.id,
        contacts: contact.id,
        templates: template.id,
        "virtual-sensors": virtualSensor.id,
        users: alice.userId,
        logins: alice.loginId,
        organizations: alice.organizationId,
        sites: site.id,
        rooms: room.id,
        projects: project.id,
        relationships: relationship.id,
        entities: room.id,
      };
      const foreignIdOf = (path: string): string =>
        Object.entries(foreign).find(([resource]) => path.includes(`/${resource}/`))?.[1] ?? token.body.id;
      const ofPlaces = async () =>
        Promise.all(
          [
            `sites/${site.id}`,
            `rooms/${room.id}`,
            `projects/${project.id}`,
            `projects/${project.id}/members`,
            "relationships",
            "entities",
            `contacts/${contact.id}`,
            `alert-rules/${rule.id}`,
            `alerts/${alert.id}`,
            `templates/${template.id}`,
            `devices/${device.id}/ir-codes/${irCode.id}`,
            `devices/${device.id}/sensors`,
            `virtual-sensors/${virtualSensor.id}`,
          ].map(async (path) => (await alice.api.call("GET", `/api/v1/${path}`)).body),
        );
      const placesBefore = await ofPlaces();
      /** What stands deeper in the path is there, in Alice's organisation. */
      const deeper = {
        ":user_id": alice.userId,
        ":target_id": device.id,
        ":entity_id": device.id,
        ":invitation_id": invitation.id,
        ":code": irCode.id,
        ":key": "t",
      };
      const bodies: Record<string, object> = {
        "POST /api/v1/organizations/:id/grants": { user_id: alice.userId, device: device.uid, role: "viewer" },
      };
      for (const route of withId) {
        const pairs: [string, string][] = route.path.includes("/devices/")
          ? [
              [device.uid, MISSING_UID],
              [device.id, newId()],
            ]
          : [[foreignIdOf(route.path), newId()]];
        for (const [theirs, missing] of pairs) {
          const ask = (id: string) =>
            seen(
              mallory.api,
              {
                method: route.method,
                path: route.path.replace(/:\w+/g, (parameter) => deeper[parameter as keyof typeof deeper] ?? id),
                ...(route.body === undefined ? {} : { body: bodies[`${route.method} ${route.path}`] ?? route.bodyExample ?? {} }),
              },
              id,
            );
          const answer = await ask(theirs);
          assert.equal(answer, await ask(missing), `${route.method} ${route.path}`);
          assert.match(answer, route.access === "platform" ? /^403 / : /^404 /, `${route.method} ${route.path}`);
        }
      }
      const readings = (id: string) => seen(mallory.api, { method: "GET", path: `/api/v1/readings?device=${id}&key=temperature` }, id);
      assert.equal(await readings(device.uid), await readings(MISSING_UID));
      assert.equal(await readings(device.id), await readings(newId()));
      assert.deepEqual((await alice.api.call("GET", `/api/v1/devices/${device.uid}`)).body, before.body);
      assert.deepEqual(await ofOrganization(), organizationBefore);
      assert.deepEqual(await ofPlaces(), placesBefore);
      const logins = await alice.api.call<{ data: { id: string }[] }>("GET", "/api/v1/auth/logins");
      assert.deepEqual(
        logins.body.data.map(({ id }) => id),
        [alice.loginId],
      );
      const tokens = await admin.api.call<{ data: { id: string; revoked_at: string | null }[] }>("GET", "/api/v1/access-tokens");
      assert.equal(tokens.body.data.find(({ id }) => id === token.body.id)?.revoked_at, null);
    });

    test("finds nothing of others in any list, whatever it filters by", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const { alice, mallory, hub } = two;
      const device = await alice.api.addDevice({ name: "Alice's relay" });
      const own = await mallory.api.addDevice({ name: "Mallory's relay" });
      await using relay = await startVirtualDevice({
        url: hub.mqtt,
        uid: device.uid,
        password: device.token,
        deviceClass: "relay_controller",
        protocolVersion: 5,
      });
      await relay.sendTelemetry({ temperature: 21 });
      const command = { command: "set_relay", relay: 0, state: "ON", command_id: "alice-1" };
      assert.equal((await alice.api.call("POST", `/api/v1/devices/${device.uid}/commands`, command)).status, 200);
      const token = await alice.api.call<{ id: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "hers" });
      const mine = await alice.api.call<{ data: { correlation_id: string; id: string }[] }>("GET", "/api/v1/events");
      assert.ok(mine.body.data.length > 0);
      const { site } = (await alice.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Hers", time_zone: "UTC" })).body;
      const { room } = (await alice.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Hers", site_id: site.id })).body;
      const { project } = (await alice.api.call<{ project: { id: string } }>("POST", "/api/v1/projects", { name: "Hers" })).body;
      assert.equal((await alice.api.call("PATCH", `/api/v1/devices/${device.uid}`, { room_id: room.id })).status, 200);
      assert.equal((await alice.api.call("POST", `/api/v1/projects/${project.id}/members`, { entity: device.id })).status, 201);
      const contact = await addContact(alice.api);
      const { rule, alert } = await addAlert(alice.api);
      const virtualSensor = await addSensors(alice.api, device.uid);
      const setting = { value: { of: "alice's service" } };
      assert.ok((await alice.api.call("PUT", "/api/v1/settings/alerts.mark", setting)).status < 300);
      const secrets = [
        rule.id,
        alert.id,
        contact.id,
        virtualSensor.id,
        setting.value.of,
        site.id,
        room.id,
        project.id,
        device.uid,
        device.id,
        alice.organizationId,
        alice.userId,
        alice.email,
        alice.loginId,
        token.body.id,
        "alice-1",
      ];
      const lists = ROUTES.filter(
        ({ method, path, access }) => method === "GET" && (access === "self" || isPermission(access)) && !path.includes(":"),
      );
      assert.ok(lists.length >= 6);
      const queries = [
        ...lists.filter(({ path }) => !ASK_MORE.has(path)).map(({ path }) => path),
        ...["alice", "hers", device.uid].map((text) => `/api/v1/search?q=${text}`),
        `/api/v1/alerts?device=${device.uid}`,
        `/api/v1/alerts?rule_id=${rule.id}`,
        `/api/v1/analytics/metrics/series?device=${own.uid}&type=relay.on`,
        `/api/v1/analytics/commands?site_id=${site.id}`,
        `/api/v1/analytics/usage?room_id=${room.id}`,
        `/api/v1/analytics/insights?site_id=${site.id}`,
        `/api/v1/entities?search=alice`,
        `/api/v1/entities?property=device_class:relay_controller`,
        `/api/v1/relationships?entity=${device.id}`,
        `/api/v1/devices?site_id=${site.id}`,
        `/api/v1/devices?project_id=${project.id}`,
        `/api/v1/rooms?site_id=${site.id}`,
        `/api/v1/devices?search=${encodeURIComponent("alice")}`,
        `/api/v1/devices?search=${device.uid}`,
        `/api/v1/devices?cursor=${device.id.slice(0, 8)}`,
        `/api/v1/events?entity_id=${device.id}`,
        `/api/v1/events?correlation_id=${mine.body.data[0]?.correlation_id ?? ""}`,
        `/api/v1/events?cursor=${"f".repeat(8)}`,
        `/api/v1/devices/${own.uid}/commands`,
      ];
      const authorization = `Bearer ${mallory.api.token}`;
      const exported = await fetch(new URL("/api/v1/audit/export?format=ndjson", mallory.api.base), { headers: { authorization } });
      assert.equal(exported.status, 200);
      const lines = await exported.text();
      assert.ok(lines.includes(mallory.organizationId));
      for (const secret of secrets) assert.ok(!lines.includes(secret), `the export names ${secret}`);
      for (const path of queries) {
        const { status, body } = await mallory.api.call("GET", path);
        assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
        const text = JSON.stringify(body);
        for (const secret of secrets) assert.ok(!text.includes(secret), `${path} names ${secret}: ${text}`);
      }
    });

    test("learns nothing from a page that begins at somebody else's command", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const { alice, mallory } = two;
      const [device, own] = [await alice.api.addDevice(), await mallory.api.addDevice()];
      const queue = (api: ApiClient, uid: string, id: string) =>
        api.call("POST", `/api/v1/devices/${uid}/commands`, {
          command: "set_relay",
          relay: 0,
          state: "ON",
          command_id: id,
          queue_for_s: 60,
        });
      assert.equal((await queue(mallory.api, own.uid, "mallory-1")).status, 202);
      assert.equal((await queue(alice.api, device.uid, "alice-1")).status, 202);
      const page = async (cursor: string) => (await mallory.api.call("GET", `/api/v1/devices/${own.uid}/commands?cursor=${cursor}`)).body;
      assert.deepEqual(await page("alice-1"), await page("nobody-1"));
      const first = await mallory.api.call<{ data: unknown[] }>("GET", `/api/v1/devices/${own.uid}/commands?limit=1`);
      assert.equal(first.body.data.length, 1);
    });

    test("gets an answer of its own for the same idempotency key and body", async () => {
      await using database = await open();
      await using two = await startTwoOrganizations(database.url);
      const [one, other] = await Promise.all(
        [two.alice, two.mallory].map(({ api }) =>
          api.call<{ device_uid: string; device: { organization_id: string } }>(
            "POST",
            "/api/v1/devices",
            { name: "x", device_class: "relay_controller" },
            { "idempotency-key": "shared" },
          ),
        ),
      );
      assert.notEqual(one?.body.device_uid, other?.body.device_uid);
      assert.equal(one?.body.device.organization_id, two.alice.organizationId);
      assert.equal(other?.body.device.organization_id, two.mallory.organizationId);
    });
  });
}
