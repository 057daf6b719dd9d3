import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { ids, inScene, type Json, SITE } from "./places-scene.ts";
import { type Answered, assertEnvelope, field } from "./test-api.ts";

const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });

for (const { name, skip, open } of databases()) {
  describe(`places on ${name}`, { skip }, () => {
    test("sites, rooms and projects come back as they were made, are changed by merge patches, and filtered and paged", async () => {
      await inScene(open, async ({ owner, ask, make }) => {
        const villa = await make("sites", { ...SITE, name: "Villa Größe 家", latitude: 47.5, longitude: -8.25, address: "Seestrasse 1" });
        assert.deepEqual(
          { ...villa, id: "", created_at: "", last_updated: "" },
          {
            id: "",
            organization_id: owner.organizationId,
            name: "Villa Größe 家",
            description: null,
            time_zone: "Europe/Zurich",
            latitude: 47.5,
            longitude: -8.25,
            address: "Seestrasse 1",
            created_at: "",
            last_updated: "",
          },
        );
        const patched = await ask(owner, "PATCH", `sites/${villa.id}`, {
          latitude: null,
          longitude: null,
          description: "Old",
          address: null,
        });
        const { latitude, longitude, description, address, time_zone } = patched.json["site"] as Json;
        assert.deepEqual([latitude, longitude, description, address, time_zone], [null, null, "Old", null, "Europe/Zurich"]);
        assert.deepEqual((await ask(owner, "GET", `sites/${villa.id.toUpperCase()}`)).json, patched.json);
        for (const body of [
          { name: "x" },
          { ...SITE, time_zone: "Europe/Nowhere" },
          { ...SITE, time_zone: "+01:00" },
          { ...SITE, latitude: 47 },
          { ...SITE, latitude: 91, longitude: 8 },
          { ...SITE, name: "" },
        ])
          assertEnvelope(await ask(owner, "POST", "sites", body), 400, "validation_error");
        for (const body of [{ time_zone: null }, { name: null }, { latitude: 4 }, { time_zone: "Mars/Olympus" }, {}])
          assertEnvelope(await ask(owner, "PATCH", `sites/${villa.id}`, body), 400, "validation_error");

        const hut = await make("sites", { ...SITE, name: "Hut" });
        const kitchen = await make("rooms", { name: "Küche", site_id: villa.id, floor: "EG" });
        const attic = await make("rooms", { name: "Attic", site_id: hut.id });
        assert.deepEqual([kitchen["floor"], kitchen["site_id"], attic["floor"]], ["EG", villa.id, null]);
        assert.deepEqual(ids(await ask(owner, "GET", `rooms?site_id=${hut.id}`)), [attic.id]);
        const moved = await ask(owner, "PATCH", `rooms/${attic.id}`, { site_id: villa.id, floor: "2" });
        assert.deepEqual([(moved.json["room"] as Json)["site_id"], (moved.json["room"] as Json)["floor"]], [villa.id, "2"]);
        const first = await ask(owner, "GET", "rooms?limit=1");
        assert.deepEqual(ids(first), [kitchen.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `rooms?limit=1&cursor=${String(first.json["next_cursor"])}`)), [attic.id]);

        const lead = { project_lead_id: owner.userId };
        const project = await make("projects", { name: "Heating", ...lead });
        assert.deepEqual([project["status"], project["project_lead_id"]], ["active", owner.userId]);
        const done = await ask(owner, "PATCH", `projects/${project.id}`, { status: "done", project_lead_id: null });
        assert.deepEqual((done.json["project"] as Json)["project_lead_id"], null);
        assert.deepEqual(ids(await ask(owner, "GET", "projects?status=done")), [project.id]);
        assert.deepEqual(ids(await ask(owner, "GET", "projects?status=active")), []);
        assertEnvelope(await ask(owner, "PATCH", `projects/${project.id}`, { project_lead_id: newId() }), 404, "not_found");
        assertEnvelope(await ask(owner, "PATCH", `projects/${project.id}`, { status: "never" }), 400, "validation_error");
      });
    });

    test("of two changes with the same If-Match at once one is made, of every kind", async () => {
      await inScene(open, async ({ owner, ask, make }) => {
        const site = await make("sites", SITE);
        const room = await make("rooms", { name: "Kitchen", site_id: site.id });
        const project = await make("projects", { name: "Heating" });
        for (const path of [`rooms/${room.id}`, `projects/${project.id}`, `sites/${site.id}`, `entities/${site.id}`]) {
          const change = (text: string) => (path.startsWith("entities") ? { properties: { text } } : { name: text });
          for (let round = 0; round < 3; round++) {
            const version = etag(await ask(owner, "GET", path));
            const both = await Promise.all(["a", "b"].map((text) => ask(owner, "PATCH", path, change(`${text}${round}`), version)));
            assert.deepEqual(
              both.map(({ status }) => status).toSorted((a, b) => a - b),
              [200, 412],
            );
            const winner = both.find(({ status }) => status === 200) as Answered;
            // What it answered is what the next change is made from.
            assert.equal((await ask(owner, "PATCH", path, change(`c${round}`), etag(winner))).status, 200);
          }
        }
        for (const path of [`rooms/${room.id}`, `projects/${project.id}`, `sites/${site.id}`]) {
          const version = etag(await ask(owner, "GET", path));
          assert.equal((await ask(owner, "PATCH", path, { name: "Newer" })).status, 200);
          assertEnvelope(await ask(owner, "DELETE", path, undefined, version), 412, "precondition_failed");
          assert.equal((await ask(owner, "DELETE", path, undefined, etag(await ask(owner, "GET", path)))).status, 204);
          assertEnvelope(await ask(owner, "GET", path), 404, "not_found");
        }
      });
    });

    test("a device is in a room of its organisation or in none, whatever happens to the room, the site and the device", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const stranger = await hub.member();
        const site = await make("sites", SITE);
        const [kitchen, hall] = [
          await make("rooms", { name: "Kitchen", site_id: site.id }),
          await make("rooms", { name: "Hall", site_id: site.id }),
        ];
        const foreign = await make("rooms", { name: "Theirs", site_id: (await make("sites", SITE, stranger)).id }, stranger);
        const lamp = await make("devices", { name: "Lamp" });
        const place = (roomId: string | null, who: { token: string } = owner) =>
          ask(who, "PATCH", `devices/${lamp.id}`, { room_id: roomId });
        const where = async () => {
          const device = (await ask(owner, "GET", `devices/${lamp.id}`)).json["device"] as Json;
          return [device["room_id"], device["site_id"]];
        };
        assert.equal((await place(kitchen.id.toUpperCase())).status, 200);
        assert.deepEqual(await where(), [kitchen.id, site.id]);
        const before = await ask(owner, "GET", `devices/${lamp.id}`);
        for (const roomId of [foreign.id, newId(), site.id]) assertEnvelope(await place(roomId), 404, "not_found");
        assertEnvelope(await place(foreign.id, stranger), 404, "not_found");
        assert.deepEqual(await where(), [kitchen.id, site.id]);
        assertEnvelope(await ask(owner, "PATCH", `rooms/${kitchen.id}`, { site_id: foreign["site_id"] as string }), 404, "not_found");
        assertEnvelope(await ask(owner, "POST", "rooms", { name: "x", site_id: foreign["site_id"] as string }), 404, "not_found");
        assert.equal((await place(hall.id)).status, 200);
        assertEnvelope(await ask(owner, "PATCH", `devices/${lamp.id}`, { name: "x" }, etag(before)), 412, "precondition_failed");

        assert.deepEqual(ids(await ask(owner, "GET", `devices?room_id=${hall.id}`)), [lamp.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `devices?room_id=${kitchen.id}`)), []);
        assert.deepEqual(ids(await ask(owner, "GET", `devices?site_id=${site.id}`)), [lamp.id]);
        assert.equal((await ask(owner, "DELETE", `rooms/${hall.id}`)).status, 204);
        assert.deepEqual(await where(), [null, null]);
        await place(kitchen.id);
        assert.equal((await ask(owner, "DELETE", `sites/${site.id}`)).status, 204);
        assert.deepEqual(await where(), [null, null]);
        assertEnvelope(await ask(owner, "GET", `rooms/${kitchen.id}`), 404, "not_found");
        assert.deepEqual(ids(await ask(owner, "GET", "rooms")), []);
        const audit = (await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items;
        const details = (action: string) => audit.find((entry) => entry.action === action)?.details;
        assert.deepEqual(details("site.delete"), { name: "Villa", rooms: 1, devices: 1, grants: 0 });
        assert.deepEqual(details("room.delete"), { name: "Hall", devices: 1 });

        const next = await make("rooms", { name: "Next", site_id: (await make("sites", SITE)).id });
        await place(next.id);
        const released = await ask(owner, "POST", `devices/${lamp.id}/release`);
        assert.deepEqual((released.json["device"] as Json)["room_id"], null);
        await ask(stranger, "POST", "devices/claim", { claim_code: field(released, "claim_code") });
        assert.deepEqual(((await ask(stranger, "GET", `devices/${lamp.id}`)).json["device"] as Json)["room_id"], null);
      });
    });

    test("whoever has the role admin on a single device does not say where it is", async () => {
      await inScene(open, async ({ owner, ask, make, join }) => {
        const room = await make("rooms", { name: "Kitchen", site_id: (await make("sites", SITE)).id });
        const lamp = await make("devices", { name: "Lamp" });
        const guest = await join(null);
        await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, { user_id: guest.userId, device: lamp.id, role: "admin" });
        assert.equal((await ask(guest, "PATCH", `devices/${lamp.id}`, { name: "Mine" })).status, 200);
        for (const roomId of [room.id, null])
          assertEnvelope(await ask(guest, "PATCH", `devices/${lamp.id}`, { room_id: roomId }), 403, "forbidden");
      });
    });

    test("a grant on a site holds on what is there, and as long as it is there; its holder sees those places and nothing else", async () => {
      await inScene(open, async ({ hub, owner, ask, make, join }) => {
        const [villa, hut] = [await make("sites", SITE), await make("sites", { ...SITE, name: "Hut" })];
        const [kitchen, attic] = [
          await make("rooms", { name: "Kitchen", site_id: villa.id }),
          await make("rooms", { name: "Attic", site_id: hut.id }),
        ];
        const [lamp, safe] = [await make("devices", { name: "Lamp" }), await make("devices", { name: "Safe" })];
        const project = await make("projects", { name: "Lamps" });
        await ask(owner, "POST", `projects/${project.id}/members`, { entity: lamp.id });
        const guest = await join(null);
        const grants = `organizations/${owner.organizationId}/grants`;
        const give = (body: object, userId = guest.userId) => ask(owner, "POST", grants, { user_id: userId, role: "operator", ...body });
        const place = async (device: Json, roomId: string | null) =>
          assert.equal((await ask(owner, "PATCH", `devices/${String(device["id"])}`, { room_id: roomId })).status, 200);
        const seen = async () => {
          const answer = await ask(guest, "GET", "devices");
          return answer.status === 200 ? ids(answer) : answer.status;
        };
        assert.equal((await give({ site: villa.id.toUpperCase() })).status, 200);
        assert.equal(await seen(), 403);
        await place(lamp, kitchen.id);
        assert.deepEqual(await seen(), [lamp.id]);
        assertEnvelope(
          await ask(guest, "POST", `devices/${lamp.id}/commands`, { command: "set_relay", relay: 0, state: "ON" }),
          409,
          "device_offline",
        );
        assertEnvelope(await ask(guest, "PATCH", `devices/${lamp.id}`, { name: "Mine" }), 403, "forbidden");
        await place(safe, attic.id);
        assert.deepEqual(await seen(), [lamp.id]);
        for (const [path, expected] of [
          ["sites", [villa.id]],
          ["rooms", [kitchen.id]],
          ["projects", []],
          ["relationships", []],
          ["entities", [villa.id, kitchen.id, lamp.id]],
          [`devices?project_id=${project.id}`, []],
        ] as const)
          assert.deepEqual(ids(await ask(guest, "GET", path)), expected, path);
        for (const path of [
          `sites/${hut.id}`,
          `rooms/${attic.id}`,
          `projects/${project.id}`,
          `entities/${safe.id}`,
          `entities/${owner.userId}`,
        ])
          assertEnvelope(await ask(guest, "GET", path), 404, "not_found");
        const found = (await ask(guest, "GET", "search?q=a")).json as Record<string, Json[]>;
        assert.deepEqual(Object.fromEntries(Object.entries(found).map(([kind, list]) => [kind, list.map(({ name: one }) => one)])), {
          devices: ["Lamp"],
          sites: ["Villa"],
          rooms: [],
          projects: [],
          people: [],
        });

        // A room that moves takes its devices along, both ways.
        await ask(owner, "PATCH", `rooms/${kitchen.id}`, { site_id: hut.id });
        assert.equal(await seen(), 403);
        await ask(owner, "PATCH", `rooms/${attic.id}`, { site_id: villa.id });
        assert.deepEqual(await seen(), [safe.id]);
        await place(lamp, attic.id);
        await place(safe, null);
        assert.deepEqual(await seen(), [lamp.id]);
        // What was granted on the device itself stays when it goes; the greater of two roles counts.
        await give({ device: lamp.id, role: "admin" });
        assert.equal((await ask(guest, "PATCH", `devices/${lamp.id}`, { name: "Mine" })).status, 200);
        await place(lamp, kitchen.id);
        assert.deepEqual(await seen(), [lamp.id]);
        const listed = (await ask(owner, "GET", grants)).json["data"] as Json[];
        assert.deepEqual(
          listed.map((grant) => ({ ...grant, created_at: "" })),
          [
            { user_id: guest.userId, device_id: lamp.id, role: "admin", created_at: "" },
            { user_id: guest.userId, site_id: villa.id, role: "operator", created_at: "" },
          ],
        );
        assert.equal((await ask(owner, "DELETE", `${grants}/${guest.userId}/${lamp.id}`)).status, 204);
        assert.equal(await seen(), 403);
        await place(lamp, attic.id);
        const released = await ask(owner, "POST", `devices/${lamp.id}/release`);
        assert.equal(await seen(), 403);
        await ask(owner, "POST", "devices/claim", { claim_code: field(released, "claim_code") });
        assert.equal(await seen(), 403);
        await place(lamp, attic.id);
        await ask(owner, "DELETE", `rooms/${attic.id}`);
        assert.equal(await seen(), 403);
        const cellar = await make("rooms", { name: "Cellar", site_id: villa.id });
        await place(lamp, cellar.id);
        assert.deepEqual(await seen(), [lamp.id]);
        await ask(owner, "DELETE", `sites/${villa.id}`);
        assert.equal(await seen(), 403);
        assert.deepEqual((await ask(owner, "GET", grants)).json["data"], []);

        assertEnvelope(await give({}), 400, "validation_error");
        assertEnvelope(await give({ site: hut.id, device: lamp.id }), 400, "validation_error");
        assertEnvelope(await give({ site: hut.id, role: "owner" }), 400, "validation_error");
        const stranger = await hub.member();
        const foreign = await make("sites", SITE, stranger);
        for (const [body, userId] of [
          [{ site: villa.id }],
          [{ site: foreign.id }],
          [{ site: attic.id }],
          [{ site: hut.id }, stranger.userId],
        ] as const)
          assertEnvelope(await give(body, userId), 404, "not_found");
        assert.equal((await give({ site: hut.id })).status, 200);
        assert.equal((await ask(owner, "DELETE", `${grants}/${guest.userId}/${hut.id}`)).status, 204);
        assertEnvelope(await ask(owner, "DELETE", `${grants}/${guest.userId}/${hut.id}`), 404, "not_found");
        await give({ site: hut.id });
        await ask(owner, "DELETE", `organizations/${owner.organizationId}/members/${guest.userId}`);
        assert.deepEqual((await ask(owner, "GET", grants)).json["data"], []);
      });
    });
  });
}
