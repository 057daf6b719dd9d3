import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HomeDevice } from "../../core/smart-home.ts";
import { type HomeChange, startHomeDirectory } from "../../store/home-directory.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { inScene, type Json, type Scene, SITE } from "./places-scene.ts";
import { assertEnvelope } from "./test-api.ts";

const ALL = { home_assistant: true, homekit: true, alexa: true };

/** A directory that follows the owner's organisation, with all that it was told since. */
async function followed({ hub, owner }: Scene, stack: AsyncDisposableStack) {
  const { store, bus, topics, log } = hub.context;
  const homes = stack.use(startHomeDirectory({ db: store.db, bus, topics, log }));
  const told: HomeChange[] = [];
  const following = stack.use(await homes.follow(owner.organizationId, (change) => void told.push(change)));
  const known = (id: string): HomeDevice | undefined => following.home.get(id);
  /** Until the device is so, or gone for undefined. */
  const becomes = (id: string, isSo: (device: HomeDevice | undefined) => boolean) =>
    until(() => isSo(known(id)), { what: "the home to know it" });
  return { homes, following, told, known, becomes };
}

const add = async ({ make }: Scene, body: object) => (await make("devices", body)) as Json & { id: string; uid: string };

for (const { name, skip, open } of databases()) {
  describe(`smart homes on ${name}`, { skip }, () => {
    test("see what a device is, with the words that people have for it", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, make } = scene;
        await using stack = new AsyncDisposableStack();
        const site = await make("sites", SITE);
        const room = await make("rooms", { name: "Hall", site_id: site["id"] });
        const sensors = [
          { key: "t", unit: "°C", device_class: "temperature" },
          { key: "raw", hidden: true },
        ];
        const capabilities = { relays: 2, lights: 1, inputs: 3, ir: true, sensors };
        const { id, uid } = await add(scene, { name: "Panel", device_class: "hybrid", model: "HX", capabilities });
        const patch = { room_id: room["id"], settings: { relay_names: ["Lamp", "Fan"] } };
        assert.equal((await ask(owner, "PATCH", `devices/${uid}`, patch)).status, 200);
        const code = { name: "tv power", format: "timings", timings: [900, -450] };
        const made = await ask(owner, "POST", `devices/${uid}/ir-codes`, code);
        assert.equal(made.status, 201, made.text);
        const { known } = await followed(scene, stack);
        const device = known(id) ?? assert.fail("it is not known");
        const { sensors: seen, irCodes, ...rest } = device;
        assert.deepEqual(rest, {
          id,
          uid,
          organizationId: owner.organizationId,
          name: "Panel",
          deviceClass: "hybrid",
          model: "HX",
          serialNumber: null,
          firmwareVersion: null,
          room: "Hall",
          relays: 2,
          lights: 1,
          tunableLights: [],
          inputs: 3,
          hasIr: true,
          settings: { relay_names: ["Lamp", "Fan"] },
          exposure: ALL,
        });
        assert.deepEqual([...seen], [["t", { device_class: "temperature", unit_of_measurement: "°C", platform: "sensor" }]]);
        assert.deepEqual(irCodes, [{ id: (made.json["ir_code"] as Json)["id"], name: "tv power" }]);
      });
    });

    test("hear of every change of it, and of nothing that another organisation does", async () => {
      await inScene(open, async (scene) => {
        const { ask, hub, owner, make } = scene;
        const stranger = await hub.member();
        await using stack = new AsyncDisposableStack();
        const { told, becomes, following } = await followed(scene, stack);
        const { id, uid } = await add(scene, { name: "One", device_class: "relay_controller" });
        const other = await add(scene, { name: "Other", device_class: "relay_controller" });
        await becomes(other.id, (device) => device !== undefined);
        const kept = following.home.get(other.id);
        await ask(owner, "PATCH", `devices/${uid}`, { name: "Two" });
        await becomes(id, (device) => device?.name === "Two");
        const site = await make("sites", SITE);
        const room = await make("rooms", { name: "Hall", site_id: site["id"] });
        await ask(owner, "PATCH", `devices/${uid}`, { room_id: room["id"] });
        await becomes(id, (device) => device?.room === "Hall");
        await ask(owner, "PATCH", `rooms/${room["id"]}`, { name: "Porch" }, { "if-match": "*" });
        await becomes(id, (device) => device?.room === "Porch");
        await ask(owner, "PUT", `devices/${uid}/sensors/t`, { name: "Warmth", device_class: "temperature" }, { "if-match": "*" });
        await becomes(id, (device) => device?.sensors.get("t")?.name === "Warmth");
        await ask(owner, "PATCH", `devices/${uid}/sensors/t`, { hidden: true }, { "if-match": "*" });
        await becomes(id, (device) => device?.sensors.size === 0);
        await ask(owner, "PATCH", `devices/${uid}/exposure`, { alexa: false });
        await becomes(id, (device) => device?.exposure.alexa === false);
        // Of what did not change nobody hears.
        assert.equal(following.home.get(other.id), kept);
        assert.equal(told.flatMap(({ changed }) => changed).filter((one) => one.id === other.id).length, 1);

        const foreign = await ask(stranger, "POST", "devices", { name: "Foreign", device_class: "relay_controller" });
        assert.equal(foreign.status, 201);
        assert.equal((await ask(owner, "DELETE", `devices/${uid}`)).status, 204);
        await becomes(id, (device) => device === undefined);
        assert.deepEqual(
          told.flatMap(({ gone }) => gone).map((one) => one.id),
          [id],
        );
        assert.deepEqual([...following.home.keys()], [other.id]);
      });
    });

    test("a device is in all of them until somebody says otherwise, and again in all where it belongs to somebody else", async () => {
      await inScene(open, async (scene) => {
        const { ask, hub, owner } = scene;
        const stranger = await hub.member();
        const { uid } = await add(scene, { name: "One", device_class: "relay_controller" });
        const path = `devices/${uid}/exposure`;
        assert.deepEqual((await ask(owner, "GET", path)).json, { exposure: ALL });
        assert.deepEqual((await ask(owner, "PATCH", path, { alexa: false, homekit: true })).json, { exposure: { ...ALL, alexa: false } });
        assert.deepEqual((await ask(owner, "PATCH", path, { homekit: false })).json, {
          exposure: { ...ALL, alexa: false, homekit: false },
        });
        assertEnvelope(await ask(owner, "PATCH", path, {}), 400, "validation_error");
        assertEnvelope(await ask(owner, "PATCH", path, { google: true }), 400, "validation_error");
        assertEnvelope(await ask(stranger, "GET", path), 404, "not_found");
        assertEnvelope(await ask(stranger, "PATCH", path, { alexa: true }), 404, "not_found");
        const released = await ask(owner, "POST", `devices/${uid}/release`);
        assert.equal(released.status, 200, released.text);
        const claimed = await ask(stranger, "POST", "devices/claim", { claim_code: released.json["claim_code"] });
        assert.equal(claimed.status, 200, claimed.text);
        assert.deepEqual((await ask(stranger, "GET", path)).json, { exposure: ALL });
      });
    });

    test("a bridge that nobody has set up says so", async () => {
      await inScene(open, async ({ ask, owner }) => {
        const { json } = await ask(owner, "GET", "bridges");
        assert.deepEqual(
          (json["data"] as Json[]).map(({ bridge, status }) => [bridge, status]),
          [
            ["home_assistant", "off"],
            ["homekit", "off"],
            ["alexa", "off"],
          ],
        );
        assertEnvelope(await ask(owner, "POST", "bridges/alexa/resend"), 409, "conflict");
        assertEnvelope(await ask(owner, "GET", "bridges/google"), 400, "validation_error");
      });
    });
  });
}
