import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { ids, inScene, type Json, SITE } from "./places-scene.ts";
import { assertEnvelope, field } from "./test-api.ts";

for (const { name, skip, open } of databases()) {
  describe(`entities and what links them on ${name}`, { skip }, () => {
    test("a project has devices and people of the organisation, until they leave it", async () => {
      await inScene(open, async ({ hub, owner, ask, make, join }) => {
        const [lamp, other] = [await make("devices", { name: "Lamp" }), await make("devices", { name: "Other" })];
        const person = await join("viewer");
        const project = await make("projects", { name: "Heating", project_lead_id: person.userId });
        const path = `projects/${project.id}/members`;
        const add = (entity: string) => ask(owner, "POST", path, { entity });
        const members = async () => ((await ask(owner, "GET", path)).json["data"] as Json[]).map(({ entity_id }) => entity_id);
        for (const entity of [lamp.id, other.id, person.userId]) assert.equal((await add(entity)).status, 201);
        assertEnvelope(await add(lamp.id), 409, "conflict");
        assertEnvelope(await add(project.id), 409, "conflict");
        const stranger = await hub.member();
        const theirs = await make("devices", { name: "Theirs" }, stranger);
        for (const entity of [theirs.id, stranger.userId, newId()]) assertEnvelope(await add(entity), 404, "not_found");
        assert.deepEqual(await members(), [lamp.id, other.id, person.userId]);
        assert.deepEqual(ids(await ask(owner, "GET", `devices?project_id=${project.id}`)), [lamp.id, other.id]);
        assert.deepEqual(ids(await ask(stranger, "GET", `devices?project_id=${project.id}`)), []);
        assert.equal((await ask(owner, "DELETE", `${path}/${other.id}`)).status, 204);
        assertEnvelope(await ask(owner, "DELETE", `${path}/${other.id}`), 404, "not_found");
        await ask(owner, "POST", `devices/${lamp.id}/release`);
        await ask(owner, "DELETE", `organizations/${owner.organizationId}/members/${person.userId}`);
        assert.deepEqual(await members(), []);
        assert.equal(((await ask(owner, "GET", `projects/${project.id}`)).json["project"] as Json)["project_lead_id"], null);
      });
    });

    test("edges link entities of one organisation; those that the hub keeps are its own", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const site = await make("sites", SITE);
        const lamp = await make("devices", { name: "Lamp" });
        const stranger = await hub.member();
        const theirs = await make("sites", SITE, stranger);
        const edge = { from_entity: site.id, to_entity: lamp.id, relationship_type: "powers" };
        const made = await make("relationships", { ...edge, properties: { fuse: "F4", größe: 1 } as object }).catch(() => undefined);
        assert.equal(made, undefined, "the name of a property has no umlauts");
        const powers = await make("relationships", { ...edge, properties: { fuse: "F4", note: "größe" } });
        assert.equal((powers["properties"] as Json)["fuse"], "F4");
        assertEnvelope(await ask(owner, "POST", "relationships", edge), 409, "conflict");
        const back = await make("relationships", { from_entity: lamp.id, to_entity: owner.organizationId, relationship_type: "serves" });
        for (const [body, status, code] of [
          [{ ...edge, relationship_type: "owns" }, 409, "conflict"],
          [{ ...edge, relationship_type: "member_of" }, 409, "conflict"],
          [{ ...edge, relationship_type: "Powers" }, 400, "validation_error"],
          [{ ...edge, relationship_type: "near", to_entity: theirs.id }, 404, "not_found"],
          [{ ...edge, relationship_type: "near", from_entity: stranger.userId }, 404, "not_found"],
          [{ ...edge, relationship_type: "near", to_entity: newId() }, 404, "not_found"],
          [{ ...edge, relationship_type: "near", properties: { text: "x".repeat(9_000) } }, 400, "validation_error"],
        ] as const)
          assertEnvelope(await ask(owner, "POST", "relationships", body), status, code);
        assert.deepEqual(ids(await ask(owner, "GET", `relationships?entity=${lamp.id}`)), [powers.id, back.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `relationships?entity=${site.id}&type=powers`)), [powers.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `relationships?type=owns`)), []);
        assertEnvelope(await ask(stranger, "DELETE", `relationships/${powers.id}`), 404, "not_found");

        const released = await ask(owner, "POST", `devices/${lamp.id}/release`);
        assert.deepEqual(ids(await ask(owner, "GET", "relationships")), []);
        await ask(owner, "POST", "devices/claim", { claim_code: field(released, "claim_code") });
        const owns = (await ask(owner, "GET", `relationships?entity=${owner.userId}`)).json["data"] as Json[];
        assert.deepEqual([owns.length, owns[0]?.["relationship_type"], owns[0]?.["to_entity"]], [1, "owns", lamp.id]);
        assertEnvelope(await ask(owner, "DELETE", `relationships/${String(owns[0]?.["id"])}`), 409, "conflict");
        const again = await make("relationships", edge);
        assert.equal((await ask(owner, "DELETE", `relationships/${again.id}`)).status, 204);
        assertEnvelope(await ask(owner, "DELETE", `relationships/${again.id}`), 404, "not_found");
      });
    });

    test("properties are patched and found by their value; what a device is stays", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const lamp = await make("devices", { name: "Lamp", serial_number: "S-100%" });
        const site = await make("sites", SITE);
        const patch = (id: string, properties: object) => ask(owner, "PATCH", `entities/${id}`, { properties });
        assert.equal((await patch(site.id, { beds: 5, isWarm: true, code: "5", deep: { a: { b: 1 } }, note: "Größe" })).status, 200);
        const patched = await patch(site.id, { note: null, deep: { a: { c: 2 } } });
        assert.deepEqual((patched.json["entity"] as Json)["properties"], {
          beds: 5,
          isWarm: true,
          code: "5",
          deep: { a: { b: 1, c: 2 } },
        });
        for (const [property, expected] of [
          ["serial_number:S-100%", [lamp.id]],
          ["serial_number:S-100_", []],
          ["device_class:relay_controller", [lamp.id]],
          ["beds:5", [site.id]],
          ["beds:5.0", [site.id]],
          ["code:5", [site.id]],
          ["isWarm:true", [site.id]],
          ["isWarm:1", []],
          ["beds:1e999", []],
          ["note:null", []],
          ["deep:[object Object]", []],
          ["serial_number:' or 1=1 --", []],
        ] as const)
          assert.deepEqual(ids(await ask(owner, "GET", `entities?property=${encodeURIComponent(property)}`)), expected, property);
        assert.deepEqual(ids(await ask(owner, "GET", "entities?type=device")), [lamp.id]);
        assert.deepEqual(ids(await ask(owner, "GET", "entities?type=device.relay_controller")), [lamp.id]);
        assert.deepEqual(ids(await ask(owner, "GET", "entities?type=dev")), []);
        assert.deepEqual(ids(await ask(owner, "GET", "entities?type=user")), [owner.userId]);
        assert.deepEqual(ids(await ask(owner, "GET", "entities?type=organization")), [owner.organizationId]);
        for (const property of ["serial_number", "model", "device_class"])
          assertEnvelope(await patch(lamp.id, { [property]: "mine" }), 409, "conflict");
        assert.equal((await patch(lamp.id, { inventory: "A-17" })).status, 200);
        assertEnvelope(await patch(owner.userId, { secret: 1 }), 409, "conflict");
        assertEnvelope(await patch(owner.organizationId, { secret: 1 }), 409, "conflict");
        assertEnvelope(await patch(site.id, { big: "x".repeat(9_000) }), 400, "validation_error");
        assertEnvelope(await patch(site.id, { "a b": 1 }), 400, "validation_error");
        assertEnvelope(await ask(await hub.member(), "PATCH", `entities/${site.id}`, { properties: {} }), 404, "not_found");
      });
    });

    test("a search finds what one may see, by the letters that were typed, in small or capital ones", async () => {
      await inScene(open, async ({ hub, owner, ask, make, join }) => {
        const site = await make("sites", { ...SITE, name: "Haus ÄÖÜ 100%" });
        const room = await make("rooms", { name: "Küche_1", site_id: site.id });
        await make("rooms", { name: "KücheX1", site_id: site.id });
        const lamp = await make("devices", { name: "ЛАМПА" });
        const project = await make("projects", { name: "back\\slash" });
        const friend = await join("viewer");
        const guest = await join(null);
        const stranger = await hub.member();
        await make("sites", { ...SITE, name: "Haus ÄÖÜ 100%" }, stranger);
        const found = async (who: { token: string }, text: string) => {
          const answer = await ask(who, "GET", `search?q=${encodeURIComponent(text)}`);
          assert.equal(answer.status, 200, answer.text);
          return Object.values(answer.json as Record<string, Json[]>).flatMap((list) => list.map(({ id, user_id }) => id ?? user_id));
        };
        assert.deepEqual(await found(owner, "äöü"), [site.id]);
        assert.deepEqual(await found(owner, "ÄÖÜ 100%"), [site.id]);
        assert.deepEqual(await found(owner, "KÜCHE_"), [room.id]);
        assert.deepEqual(await found(owner, "лампа"), [lamp.id]);
        assert.deepEqual(await found(owner, "K\\S"), [project.id]);
        assert.deepEqual(await found(owner, friend.email.toUpperCase()), [friend.userId]);
        assert.deepEqual(await found(owner, "%"), [site.id]);
        for (const text of ["äöü", "küche", "лампа", owner.userId])
          assert.deepEqual((await found(stranger, text)).includes(site.id), false);
        assert.deepEqual(ids(await ask(owner, "GET", `rooms?search=${encodeURIComponent("küche_")}`)), [room.id]);
        assert.deepEqual(ids(await ask(owner, "GET", `devices?search=${encodeURIComponent("Лампа")}`)), [lamp.id]);

        assertEnvelope(await ask(guest, "GET", "search?q=a"), 403, "forbidden");
        await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, {
          user_id: guest.userId,
          device: lamp.id,
          role: "viewer",
        });
        for (const text of ["äöü", "küche", "slash", "@"]) assert.deepEqual(await found(guest, text), []);
        assert.deepEqual(await found(guest, "лампа"), [lamp.id]);
        await ask(owner, "PATCH", `devices/${lamp.id}`, { room_id: room.id });
        assert.deepEqual(await found(guest, "küche"), [room.id]);
        assertEnvelope(await ask(owner, "GET", "search?q="), 400, "validation_error");
        assertEnvelope(await ask(owner, "GET", "search"), 400, "validation_error");
        for (let count = 0; count < 21; count++) await make("projects", { name: `many ${count}` });
        assert.equal((await found(owner, "many")).length, 20);
      });
    });
  });
}
