import assert from "node:assert/strict";
import { test } from "node:test";
import { AlertsScene } from "../main/alerts-scene.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { type Person, startTwoOrganizations, type TwoOrganizations } from "./two-organizations.ts";

const sceneOf = ({ hub }: TwoOrganizations, { api }: Person): AlertsScene => new AlertsScene({ http: hub.http, mqtt: hub.mqtt, api });

for (const { name, skip, open } of databases())
  test(`${name}: an event of one's own tells nothing of another organisation's devices and places`, { skip }, async () => {
    await using database = await open();
    await using two = await startTwoOrganizations(database.url);
    const { alice, mallory } = two;
    const hidden = await sceneOf(two, alice).addSensor("Vault sensor");
    const site = await alice.api.call<{ site: { id: string } }>("POST", "/api/v1/sites", { name: "Bunker", time_zone: "UTC" });
    const room = await alice.api.call<{ room: { id: string } }>("POST", "/api/v1/rooms", { name: "Safe", site_id: site.body.site.id });
    const placed = await alice.api.call("PATCH", `/api/v1/devices/${hidden.uid}`, { room_id: room.body.room.id });
    assert.equal(placed.status, 200, JSON.stringify(placed.body));

    const scene = sceneOf(two, mallory);
    const own = await scene.addSensor("Own sensor");
    await scene.rule({ name: "Peek", condition: { kind: "event", type: "custom.peek", window_s: 3_600 } });
    for (const uid of [hidden.uid, "organization *", `site ${site.body.site.id}`, `gateway ${hidden.uid}`, own.uid]) {
      const { status } = await mallory.api.call("POST", "/api/v1/events", { type: "custom.peek", data: { uid } });
      assert.equal(status, 201);
    }
    const alerts = await until(
      async () => {
        const all = await scene.alerts();
        return all.some(({ uid }) => uid === own.uid) && all;
      },
      { what: "the alert of the own device" },
    );
    // Whatever is no device of their own is nothing that there is.
    assert.deepEqual(
      new Set(alerts.map(({ title, uid, device_id: id, site_id: place }) => [title, uid, id, place].join())),
      new Set(["Peek,,,", `Peek: Own sensor,${own.uid},${own.id},`]),
    );
  });
