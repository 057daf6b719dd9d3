import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { MOST_FED } from "../../core/virtual-sensor.ts";
import { listAudit } from "../../store/audit.ts";
import { MOST_SENSORS } from "../../store/sensor-settings.ts";
import { MOST_VIRTUAL_SENSORS } from "../../store/virtual-sensors.ts";
import { databases } from "../support/databases.ts";
import { inScene, type Json, type Scene } from "./places-scene.ts";
import { type Answered, assertEnvelope, statusesOf } from "./test-api.ts";

const SENSORS = [
  { key: "t", unit: "°F", device_class: "temperature", name: "Warmth" },
  { key: "odd", unit: "hPa", device_class: "temperature" },
];
const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });
const sensor = (answer: Answered): Json => answer.json["sensor"] as Json;
const paths = (answer: Answered): unknown[] => (answer.json["details"] as Json[]).map(({ path }) => path);
const keys = (answer: Answered): unknown[] => (answer.json["data"] as Json[]).map(({ key }) => key);

/** A device of the owner that has told of sensors and sent values. */
async function device({ hub, make }: Scene, values: Record<string, unknown> = { t: 70, z: 5 }) {
  const { id, uid } = (await make("devices", { name: `S ${newId()}`, device_class: "sensor_hub" })) as Json & { id: string; uid: string };
  await hub.context.store
    .db("devices")
    .where({ id })
    .update({ capabilities: JSON.stringify({ sensors: SENSORS }) });
  if (Object.keys(values).length > 0) await hub.context.ingest.accept({ id, uid }, "telemetry", { values });
  return { id, uid, sensors: `devices/${uid}/sensors` };
}

/** With the version that is there. */
async function change({ ask, owner }: Scene, method: string, path: string, body?: object): Promise<Answered> {
  return await ask(owner, method, path, body, { "if-match": "*" });
}

for (const { name, skip, open } of databases()) {
  describe(`sensors of a device on ${name}`, { skip }, () => {
    test("are all listed, with what the device and people say of them and their last values", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { sensors } = await device(scene);
        await change(scene, "PUT", `${sensors}/ahead`, { device_class: "motion", name: "Hall" });
        const all = await ask(owner, "GET", sensors);
        assert.deepEqual(keys(all), ["ahead", "odd", "t", "z"]);
        const [ahead, odd, t, z] = all.json["data"] as Json[];
        assert.deepEqual(
          [ahead?.["platform"], ahead?.["value"], ahead?.["said"]],
          ["binary_sensor", null, { device_class: "motion", name: "Hall" }],
        );
        assert.deepEqual([odd?.["device_class"], odd?.["unit_of_measurement"]], [null, "hPa"]);
        const { ts, received_at, ...rest } = t as Json;
        assert.deepEqual(rest, {
          key: "t",
          name: "Warmth",
          platform: "sensor",
          device_class: "temperature",
          unit_of_measurement: "°F",
          state_class: null,
          display_precision: null,
          hidden: false,
          calibration: null,
          said: {},
          virtual_sensor_id: null,
          value: 70,
          shown: { value: 70, unit: "°F" },
        });
        assert.ok(Math.abs(Date.parse(ts as string) - Date.parse(received_at as string)) < 60_000);
        assert.deepEqual([z?.["value"], z?.["shown"]], [5, null]);
        const pages: unknown[] = [];
        for (let cursor = ""; cursor !== "null"; ) {
          const page = await ask(owner, "GET", `${sensors}?limit=1${cursor === "" ? "" : `&cursor=${cursor}`}`);
          pages.push(...keys(page));
          cursor = String(page.json["next_cursor"]);
        }
        assert.deepEqual(pages, ["ahead", "odd", "t", "z"]);
        assertEnvelope(await ask(owner, "GET", `${sensors}/none`), 404, "not_found");
      });
    });

    test("have their readings in the unit that somebody asks for, where that says something", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { uid } = await device(scene, { t: 70, z: 5, odd: "idle" });
        const readings = async (query: string) => await ask(owner, "GET", `readings?device=${uid}&${query}`);
        const values = async (query: string) => ((await readings(query)).json["data"] as Json[]).map(({ value }) => value);
        assert.deepEqual(await values("key=t&unit=K"), [294.261111111111]);
        assert.deepEqual(await values("key=t&unit=%C2%B0C&bucket=1d&agg=max"), [21.1111111111111]);
        assert.deepEqual(await values("key=odd&unit=Pa"), ["idle"]);
        for (const query of [
          "key=t&unit=hPa",
          "key=t&unit=K&bucket=1d&agg=sum",
          "key=t&unit=K&bucket=1d&agg=count",
          "key=z&unit=K",
          "key=none&unit=K",
        ])
          assert.deepEqual(paths(await readings(query)), ["/unit"], query);
      });
    });

    test("are shown in the units that somebody asks for, or that the organisation reads", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { sensors } = await device(scene);
        const shown = async (query: string): Promise<unknown> => sensor(await ask(owner, "GET", `${sensors}/t${query}`))["shown"];
        assert.deepEqual(await shown("?unit=K"), { value: 294.261111111111, unit: "K" });
        assert.deepEqual(await shown("?units=metric"), { value: 21.1111111111111, unit: "°C" });
        await change(scene, "PUT", `${sensors}/t`, { display_precision: 1 });
        assert.deepEqual(await shown("?units=metric"), { value: 21.1, unit: "°C" });
        assert.deepEqual(await shown("?units=imperial"), { value: 70, unit: "°F" });
        assertEnvelope(await ask(owner, "GET", `${sensors}/t?unit=hPa`), 400, "validation_error");
        assertEnvelope(await ask(owner, "GET", `${sensors}/z?unit=K`), 400, "validation_error");
        assert.equal((await ask(owner, "PUT", "settings/sensors.unit_system", { value: "metric" })).status, 201);
        assert.deepEqual(await shown(""), { value: 21.1, unit: "°C" });
        assert.deepEqual(((await ask(owner, "GET", sensors)).json["data"] as Json[])[1]?.["shown"], { value: 21.1, unit: "°C" });
        assertEnvelope(await ask(owner, "PUT", "settings/sensors.unit_system", { value: "old" }), 400, "validation_error");
      });
    });

    test("are what a person says, and the device's word again when it is taken back", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id, sensors } = await device(scene);
        const first = await ask(owner, "GET", `${sensors}/t`);
        assertEnvelope(await ask(owner, "PUT", `${sensors}/t`, { name: "x" }), 428, "precondition_required");
        const calibration = { kind: "linear", offset: -32, scale: 0.5 };
        const said = await ask(owner, "PUT", `${sensors}/t`, { name: "Cellar", hidden: true, calibration }, etag(first));
        assert.equal(said.status, 200, said.text);
        assert.deepEqual(
          ["name", "hidden", "calibration", "device_class", "unit_of_measurement"].map((member) => sensor(said)[member]),
          ["Cellar", true, calibration, "temperature", "°F"],
        );
        assert.deepEqual((await ask(owner, "GET", `${sensors}/t`)).json, said.json);
        assertEnvelope(await ask(owner, "PUT", `${sensors}/t`, { name: "y" }, etag(first)), 412, "precondition_failed");
        const patched = await ask(owner, "PATCH", `${sensors}/t`, { hidden: null, unit_of_measurement: "°C" }, etag(said));
        assert.deepEqual(sensor(patched)["said"], { name: "Cellar", unit_of_measurement: "°C", calibration });
        const points = {
          kind: "points",
          points: [
            [0, 0],
            [1, 2],
          ],
        };
        const curved = await ask(owner, "PATCH", `${sensors}/t`, { calibration: points }, etag(patched));
        assert.deepEqual(sensor(curved)["said"], { name: "Cellar", unit_of_measurement: "°C", calibration: points });
        const straight = await ask(owner, "PATCH", `${sensors}/t`, { calibration: null }, etag(curved));
        assert.deepEqual(sensor(straight)["said"], { name: "Cellar", unit_of_measurement: "°C" });
        assert.equal((await ask(owner, "DELETE", `${sensors}/t`, undefined, etag(straight))).status, 204);
        const now = await ask(owner, "GET", `${sensors}/t`);
        assert.deepEqual([sensor(now), now.headers.get("etag")], [sensor(first), first.headers.get("etag")]);
        assertEnvelope(await change(scene, "DELETE", `${sensors}/t`), 404, "not_found");
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 100 });
        assert.deepEqual(
          items.filter(({ action, resourceId }) => resourceId === id && action.startsWith("sensor.")).map(({ action }) => action),
          ["sensor.delete", "sensor.put", "sensor.put", "sensor.put", "sensor.put"],
        );
      });
    });

    test("are refused with what does not go together", async () => {
      await inScene(open, async (scene) => {
        const { sensors } = await device(scene);
        for (const [body, path] of [
          [{ unit_of_measurement: "hPa" }, "/unit_of_measurement"],
          [{ device_class: "humidity" }, "/unit_of_measurement"],
          [{ device_class: "cosiness" }, "/device_class"],
          [{ state_class: "total" }, "/state_class"],
          [{ state_class: "now" }, "/state_class"],
          [{ name: "" }, "/name"],
          [{ name: "x".repeat(65) }, "/name"],
          [{ name: "a\nb" }, "/name"],
          [{ display_precision: 16 }, "/display_precision"],
          [{ calibration: { kind: "linear", scale: 0 } }, "/calibration/scale"],
          [
            {
              calibration: {
                kind: "points",
                points: [
                  [1, 1],
                  [1, 2],
                ],
              },
            },
            "/calibration/points/1/0",
          ],
          [{ other: 1 }, "/"],
        ] as [object, string][]) {
          const answer = await change(scene, "PUT", `${sensors}/t`, body);
          assertEnvelope(answer, 400, "validation_error");
          assert.deepEqual(paths(answer), [path], answer.text);
        }
      });
    });

    test("have no settings any more with their next owner, and at most so many at once", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id, sensors } = await device(scene, {});
        const { db } = hub.context.store;
        const put = (key: string): Promise<Answered> => change(scene, "PUT", `${sensors}/${key}`, { hidden: true });
        assert.equal((await put("k0")).status, 200);
        const row = (await db("sensor_settings").where({ device_id: id }).first()) as Json;
        const settings = JSON.stringify({ hidden: true });
        await db("sensor_settings").insert(
          Array.from({ length: MOST_SENSORS - 4 }, (_, index) => ({ ...row, settings, sensor_key: `k${index + 1}` })),
        );
        const statuses = statusesOf(await Promise.all(Array.from({ length: 8 }, (_, index) => put(`n${index}`))));
        assert.deepEqual(statuses, [...Array<number>(3).fill(200), ...Array<number>(5).fill(429)]);
        assert.equal((await ask(owner, "POST", `devices/${id}/release`)).status, 200);
        assert.equal((await db("sensor_settings").where({ device_id: id })).length, 0);
      });
    });
  });

  describe(`virtual sensors on ${name}`, { skip }, () => {
    const wanted = (uid: string, key: string, inputs: Record<string, string>, expression = Object.keys(inputs).join(" + ")) => ({
      device: uid,
      key,
      name: `Sensor ${key}`,
      expression,
      inputs: Object.fromEntries(Object.entries(inputs).map(([input, of]) => [input, { device: uid, key: of }])),
    });
    const made = (answer: Answered): Json & { id: string } => answer.json["virtual_sensor"] as Json & { id: string };

    test("are made, shown, changed with If-Match, audited and removed with their last value", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id, uid, sensors } = await device(scene);
        const body = {
          ...wanted(uid, "dew_point", { t: "t", rh: "rh" }, "dew_point((t - 32) / 1.8, rh)"),
          max_age_s: 60,
          device_class: "temperature",
          unit_of_measurement: "°C",
        };
        const first = await ask(owner, "POST", "virtual-sensors", body);
        assert.equal(first.status, 201, first.text);
        const { id: virtualId, organization_id, created_at, updated_at, ...rest } = made(first);
        assert.deepEqual(rest, { ...body, device_id: id, version: 1 });
        assert.deepEqual([organization_id, created_at], [owner.organizationId, updated_at]);
        assert.deepEqual(made(await ask(owner, "GET", `virtual-sensors/${virtualId.toUpperCase()}`)), made(first));
        const shown = sensor(await ask(owner, "GET", `${sensors}/dew_point`));
        assert.deepEqual([shown["virtual_sensor_id"], shown["unit_of_measurement"], shown["name"]], [virtualId, "°C", "Sensor dew_point"]);
        const calibrated = await change(scene, "PUT", `${sensors}/dew_point`, { calibration: { kind: "linear", offset: 1 } });
        assert.deepEqual([calibrated.status, paths(calibrated)], [400, ["/calibration"]]);
        assertEnvelope(await ask(owner, "PATCH", `virtual-sensors/${virtualId}`, { expression: "t" }), 428, "precondition_required");
        const patched = await ask(owner, "PATCH", `virtual-sensors/${virtualId}`, { expression: "t + rh", max_age_s: null }, etag(first));
        assert.deepEqual([made(patched)["expression"], made(patched)["max_age_s"], made(patched)["version"]], ["t + rh", undefined, 2]);
        assertEnvelope(await ask(owner, "DELETE", `virtual-sensors/${virtualId}`, undefined, etag(first)), 412, "precondition_failed");
        const alone = { x: { device: uid, key: "t" } };
        const other = await ask(owner, "PATCH", `virtual-sensors/${virtualId}`, { expression: "x", inputs: alone }, etag(patched));
        assert.deepEqual([other.status, made(other)["inputs"]], [200, alone], other.text);
        await hub.context.ingest.accept({ id, uid }, "telemetry", { values: { dew_point: 9 } });
        assert.equal((await ask(owner, "DELETE", `virtual-sensors/${virtualId}`, undefined, etag(other))).status, 204);
        const topic = `hexa/${uid}/sensor/dew_point/state`;
        assert.ok(hub.published.some((one) => one.topic === topic && one.payload === "" && one.retain === true));
        assertEnvelope(await ask(owner, "GET", `${sensors}/dew_point`), 404, "not_found");
        assert.equal((await ask(owner, "POST", "virtual-sensors", body)).status, 201, "its key is free again");
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 100 });
        assert.deepEqual(
          items.filter(({ resourceId }) => resourceId === virtualId).map(({ action }) => action),
          ["virtual_sensor.delete", "virtual_sensor.update", "virtual_sensor.update", "virtual_sensor.create"],
        );
        assert.equal((await ask(owner, "POST", `devices/${id}/release`)).status, 200);
        assert.deepEqual((await ask(owner, "GET", "virtual-sensors")).json["data"], []);
      });
    });

    test("are refused with what is wrong, and where they would feed themselves", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { uid } = await device(scene);
        const post = (body: object): Promise<Answered> => ask(owner, "POST", "virtual-sensors", body);
        const refuse = async (body: object, path: string, message: RegExp): Promise<void> => {
          const answer = await post(body);
          assertEnvelope(answer, 400, "validation_error");
          assert.deepEqual(paths(answer), [path], answer.text);
          assert.match(String(answer.json["message"]), message);
        };
        const fine = wanted(uid, "v", { t: "t" });
        await refuse({ ...fine, expression: "t +" }, "/expression", /cannot be read at character/);
        await refuse({ ...fine, expression: "process.exit()" }, "/expression", /calls something|no number/);
        await refuse({ ...fine, inputs: {} }, "/inputs", /fewer than 1/);
        await refuse(
          { ...fine, inputs: { t: { device: "sensor-nobody1", key: "t" } } },
          "/inputs/t/device",
          /no device of the organisation/,
        );
        await refuse({ ...fine, device_class: "temperature", unit_of_measurement: "W" }, "/unit_of_measurement", /temperature/);
        const stranger = await hub.member();
        const theirs = await scene.make("devices", { name: "x", device_class: "sensor_hub" }, stranger);
        await refuse({ ...fine, inputs: { t: { device: theirs["uid"], key: "t" } } }, "/inputs/t/device", /no device of the organisation/);
        assertEnvelope(await post(wanted(String(theirs["uid"]), "v", { t: "t" })), 404, "not_found");
        for (const taken of ["t", "z", "odd"]) assertEnvelope(await post(wanted(uid, taken, { x: "q" })), 409, "conflict");
        assert.equal(
          (await change(scene, "PUT", `devices/${uid}/sensors/ahead`, { calibration: { kind: "linear", offset: 1 } })).status,
          200,
        );
        assertEnvelope(await post(wanted(uid, "ahead", { x: "q" })), 409, "conflict");

        await refuse(wanted(uid, "self", { x: "self" }), "/inputs", new RegExp(`${uid}/self → ${uid}/self`));
        for (const [key, input] of [
          ["b", "a"],
          ["c", "b"],
        ] as const)
          assert.equal((await post(wanted(uid, key, { x: input }))).status, 201);
        await refuse(wanted(uid, "a", { x: "c" }), "/inputs", new RegExp(`: ${uid}/a → ${uid}/b → ${uid}/c → ${uid}/a`));
        assertEnvelope(await post(wanted(uid, "b", { x: "q" })), 409, "conflict");
        const [b] = (await ask(owner, "GET", "virtual-sensors")).json["data"] as (Json & { id: string })[];
        const patched = await change(scene, "PATCH", `virtual-sensors/${b?.id}`, { inputs: { x: { device: uid, key: "c" } } });
        assertEnvelope(patched, 400, "validation_error");
      });
    });

    test("made at once never feed each other in a circle, nor are they more than an organisation or a series may have", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id, uid } = await device(scene, {});
        const post = (body: object): Promise<Answered> => ask(owner, "POST", "virtual-sensors", body);
        for (let round = 0; round < 5; round++) {
          const [a, b, c] = ["a", "b", "c"].map((key) => `${key}${round}`) as [string, string, string];
          const at = [wanted(uid, a, { x: b }), wanted(uid, b, { x: c }), wanted(uid, c, { x: a })];
          assert.deepEqual(statusesOf(await Promise.all(at.map(post))), [201, 201, 400], `round ${round}`);
        }
        const fan = await Promise.all(Array.from({ length: MOST_FED + 2 }, (_, index) => post(wanted(uid, `fan${index}`, { x: "hub" }))));
        assert.deepEqual(statusesOf(fan), [...Array<number>(MOST_FED).fill(201), 400, 400]);
        const { db } = hub.context.store;
        const row = (await db("virtual_sensors").where({ device_id: id }).first()) as Json;
        const { count } = (await db("virtual_sensors").count({ count: "*" }).first()) as { count: number | string };
        const json = { content: JSON.stringify({ name: "x", expression: "x" }), inputs: "[]" };
        await db("virtual_sensors").insert(
          Array.from({ length: MOST_VIRTUAL_SENSORS - 2 - Number(count) }, (_, index) => ({
            ...row,
            ...json,
            id: newId(),
            sensor_key: `q${index}`,
          })),
        );
        const last = await Promise.all(Array.from({ length: 4 }, (_, index) => post(wanted(uid, `last${index}`, { x: "y" }))));
        assert.deepEqual(statusesOf(last), [201, 201, 429, 429]);
      });
    });

    test("are of no device that is released at the same time", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const statuses: number[] = [];
        for (let round = 0; round < 8; round++) {
          const { id, uid } = await device(scene, {});
          const [posted, released] = await Promise.all([
            ask(owner, "POST", "virtual-sensors", wanted(uid, "v", { x: "q" })),
            ask(owner, "POST", `devices/${id}/release`),
          ]);
          assert.equal(released.status, 200, released.text);
          statuses.push(posted.status);
        }
        assert.ok(
          statuses.every((status) => status === 201 || status === 404),
          String(statuses),
        );
        assert.deepEqual(await hub.context.store.db("virtual_sensors").select("id"), []);
      });
    });

    test("of a device are for whoever may see it, without the devices behind it that he may not", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, join } = scene;
        const target = await device(scene, {});
        const other = await device(scene, {});
        const body = { ...wanted(target.uid, "v", { t: "q" }), inputs: { t: { device: other.uid, key: "q" } } };
        const { id } = made(await ask(owner, "POST", "virtual-sensors", body));
        const guest = await join(null);
        const grant = { user_id: guest.userId, device: target.uid, role: "admin" };
        assert.equal((await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, grant)).status, 200);
        const seen = await ask(guest, "GET", `virtual-sensors/${id}`);
        assert.deepEqual(made(seen)["inputs"], { t: { device: null, key: "q" } });
        const changed = await ask(guest, "PATCH", `virtual-sensors/${id}`, { expression: "t * 2" }, etag(seen));
        assert.deepEqual([changed.status, paths(changed)], [400, ["/inputs/t/device"]], changed.text);
        assertEnvelope(await ask(guest, "GET", `virtual-sensors?device=${other.uid}`), 404, "not_found");
        const own = { inputs: { t: { device: target.uid, key: "q" } } };
        assert.equal((await ask(guest, "PATCH", `virtual-sensors/${id}`, own, etag(seen))).status, 200);
      });
    });
  });
}
