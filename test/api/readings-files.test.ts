import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { inScene, type Json, type Scene, SITE } from "./places-scene.ts";
import { assertEnvelope } from "./test-api.ts";

const HOUR_MS = 3_600_000;

interface Given {
  readonly key: string;
  readonly ts: number;
  readonly value: number | string | boolean;
}

async function report({ hub, owner }: Scene, deviceId: string, readings: readonly Given[]): Promise<void> {
  const { db } = hub.context.store;
  await hub.context.telemetry.ensurePartitions(readings.map(({ ts }) => ts));
  await hub.context.telemetry.insert(
    db,
    readings.map((one) => ({ deviceId, organizationId: owner.organizationId, ...one })),
  );
}

const at = (ms: number): string => new Date(ms).toISOString();
const lines = (text: string): Json[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Json);

for (const { name, skip, open } of databases()) {
  describe(`readings of many devices on ${name}`, { skip }, () => {
    test("several series come in one answer, with their gaps filled up to now, and what does not go together is refused", async () => {
      await inScene(open, async (scene) => {
        const { hub, ask, make, owner } = scene;
        const now = Date.now();
        const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
        const [one, two] = [await make("devices", { name: "One" }), await make("devices", { name: "Two" })];
        for (const [index, { id }] of [one, two].entries())
          await report(scene, id, [
            { key: "t", ts: hour - 4 * HOUR_MS, value: index },
            { key: "t", ts: hour - 2 * HOUR_MS, value: index + 4 },
          ]);
        const chart = async (query: string) => await ask(owner, "GET", `readings/chart?${query}`);
        const series = `series=${String(one.uid)}:t,${two.id}:t`;
        const range = `from=${hour - 4 * HOUR_MS}&to=${hour + 24 * HOUR_MS}`;
        const answer = await chart(`${series}&${range}&bucket=1h&fill=linear`);
        assert.equal(answer.status, 200, answer.text);
        const drawn = answer.json["data"] as { uid: string; bucket_ms: number; points: [number, number | null][] }[];
        assert.deepEqual(
          drawn.map(({ uid, bucket_ms: bucketMs }) => [uid, bucketMs]),
          [one, two].map(({ uid }) => [uid, HOUR_MS]),
        );
        for (const [index, { points }] of drawn.entries())
          assert.deepEqual(
            points,
            [index, index + 2, index + 4, null, null].map((value, place) => [hour + (place - 4) * HOUR_MS, value]),
          );
        const plain = (await chart(`${series}&${range}`)).json["data"] as typeof drawn;
        assert.deepEqual(
          plain.map(({ points }) => points.length),
          [2, 2],
        );
        for (const wrong of [
          "series=x",
          `${series},`,
          `${series}&fill=zero`,
          `${series}&agg=min`,
          `${series}&bucket=1h&points=10`,
          `${series}&points=2`,
          `series=${Array.from({ length: 101 }, () => `${String(one.uid)}:t`).join(",")}`,
          `${series}&bucket=1&from=0`,
        ]) {
          assertEnvelope(await chart(wrong), 400, "validation_error");
        }
        assert.equal((await chart(`series=${newId()}:t`)).status, 404);
        assertEnvelope(await ask(await hub.member(), "GET", `readings/chart?${series}`), 404, "not_found");
      });
    });

    test("the newest of all of them come in pages, by place, device and key, and to those alone who may see the device", async () => {
      await inScene(open, async (scene) => {
        const { hub, ask, make, owner, join } = scene;
        const now = Date.now();
        const site = await make("sites", SITE);
        const room = await make("rooms", { name: "Hall", site_id: site.id });
        const devices = [];
        for (let count = 0; count < 5; count++) devices.push(await make("devices", { name: `Sensor ${count}` }));
        for (const [index, { id }] of devices.entries())
          await report(scene, id, [
            { key: "humidity", ts: now - 10, value: 40 + index },
            { key: "temperature", ts: now - 10, value: 20 + index },
            // Kept back by the device: it changes nothing.
            { key: "temperature", ts: now - 20, value: -1 },
            { key: "state", ts: now - 5, value: index % 2 === 0 ? "idle" : "busy" },
          ]);
        const last = devices[4] as Json & { id: string; uid: string };
        assert.equal((await ask(owner, "PATCH", `devices/${last.id}`, { room_id: room.id })).status, 200);

        const all: Json[] = [];
        for (let cursor: string | null = ""; cursor !== null; ) {
          const page = await ask(owner, "GET", `readings/latest?limit=4${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
          assert.equal(page.status, 200, page.text);
          all.push(...(page.json["data"] as Json[]));
          cursor = page.json["next_cursor"] as string | null;
        }
        assert.equal(new Set(all.map((one) => `${String(one["uid"])} ${String(one["key"])}`)).size, 15);
        const received = all.map((one) => one["received_at"]);
        const known = all.find((one) => one["device_id"] === last.id && one["key"] === "temperature");
        assert.deepEqual(known, {
          device_id: last.id,
          uid: last.uid,
          key: "temperature",
          value: 24,
          ts: at(now - 10),
          received_at: known?.["received_at"],
        });
        assert.ok(received.every((one) => typeof one === "string"));
        const values = async (query: string, who: { token: string } = owner): Promise<unknown[]> =>
          ((await ask(who, "GET", `readings/latest?${query}`)).json["data"] as Json[]).map(({ value }) => value);
        assert.deepEqual(await values(`site_id=${site.id}`), [44, "idle", 24]);
        assert.deepEqual(await values(`room_id=${room.id.toUpperCase()}&key=humidity`), [44]);
        assert.deepEqual(await values(`device=${last.uid}&key=state`), ["idle"]);
        assert.deepEqual(await values(`room_id=${newId()}`), []);

        const stranger = await hub.member();
        assert.deepEqual(await values("", stranger), []);
        assert.deepEqual(await values(`site_id=${site.id}`, stranger), []);
        assertEnvelope(await ask(stranger, "GET", `readings/latest?device=${last.uid}`), 404, "not_found");
        const guest = await join(null);
        const grant = { user_id: guest.userId, device: devices[1]?.id, role: "viewer" };
        assert.equal((await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, grant)).status, 200);
        assert.deepEqual(await values("", guest), [41, "busy", 21]);
      });
    });

    test("a file has each of them once, by series and time, in either form", async () => {
      await inScene(open, async (scene) => {
        const { hub, ask, make, owner, join } = scene;
        const from = Date.now() - 50 * HOUR_MS;
        const [one, other] = [await make("devices", { name: "One" }), await make("devices", { name: "Other" })] as (Json & {
          id: string;
          uid: string;
        })[];
        assert.ok(one && other);
        // More than a page, over days with nothing in between.
        const many = Array.from({ length: 2_500 }, (_, index) => ({
          key: "t",
          ts: from + index * 1_000 + (index > 1_700 ? 40 * HOUR_MS : 0),
          value: index / 4,
        }));
        await report(scene, one.id, many);
        await report(scene, other.id, [
          { key: "text", ts: from + 2, value: "=1+1" },
          { key: "is_on", ts: from + 1, value: true },
        ]);
        const file = (query: string, who: { token: string } = owner) => ask(who, "GET", `readings/export?from=${from}${query}`);
        const whole = await file("");
        assert.equal(whole.status, 200);
        assert.match(whole.headers.get("content-type") ?? "", /ndjson/);
        const rows = lines(whole.text);
        assert.deepEqual(
          rows.filter(({ device }) => device === one.uid),
          many.map(({ key, ts, value }) => ({ device: one.uid, key, ts: at(ts), value })),
        );
        assert.deepEqual(
          rows
            .filter(({ device }) => device === other.uid)
            .map(({ key, value }) => [key, value])
            .toSorted(([x], [y]) => ((x as string) < (y as string) ? -1 : 1)),
          [
            ["is_on", true],
            ["text", "=1+1"],
          ],
        );
        const csv = await file(`&format=csv&device=${other.uid}`);
        assert.deepEqual(csv.text.split("\r\n").toSorted(), [
          "",
          "device,key,ts,value",
          `${other.uid},is_on,${at(from + 1)},true`,
          `${other.uid},text,${at(from + 2)},'=1+1`,
        ]);
        const some = lines((await file(`&device=${one.id}&key=t&to=${from + 10_000}`)).text);
        assert.deepEqual(
          some.map(({ value }) => value),
          [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25],
        );
        assert.equal((await file(`&to=${from - 1}`)).status, 400);
        assert.equal((await file("&format=xlsx")).status, 400);

        const stranger = await hub.member();
        assert.equal((await file("", stranger)).text, "");
        assertEnvelope(await file(`&device=${one.uid}`, stranger), 404, "not_found");
        const guest = await join(null);
        const grant = { user_id: guest.userId, device: other.id, role: "viewer" };
        assert.equal((await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, grant)).status, 200);
        assert.deepEqual(new Set(lines((await file("", guest)).text).map(({ device }) => device)), new Set([other.uid]));
      });
    });

    test("a Parquet file has them in groups of rows, with their types", async () => {
      await inScene(open, async (scene) => {
        const { hub, make, owner } = scene;
        const from = Date.now() - 50 * HOUR_MS;
        const device = (await make("devices", { name: "One" })) as Json & { id: string; uid: string };
        const given = [
          ...Array.from({ length: 36_500 }, (_, index) => ({ key: "t", ts: from + index, value: index / 7 })),
          { key: "u", ts: from, value: 'ü, "=1"\r\n' },
          { key: "u", ts: from + 1, value: false },
          { key: "u", ts: from + 2, value: "" },
          ...Array.from({ length: 2_100 }, (_, index) => ({ key: "v", ts: from + index, value: "x".repeat(1_024) })),
        ];
        for (let done = 0; done < given.length; done += 5_000) await report(scene, device.id, given.slice(done, done + 5_000));
        const read = async (query: string): Promise<ArrayBuffer> => {
          const response = await fetch(`${hub.api.url}/api/v1/readings/export?format=parquet&from=${from}${query}`, {
            headers: { authorization: `Bearer ${owner.token}` },
          });
          assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/vnd.apache.parquet"]);
          return await response.arrayBuffer();
        };
        const file = await read("");
        const { row_groups: groups } = await parquetMetadataAsync(file);
        assert.deepEqual(
          groups.map(({ num_rows }) => Number(num_rows)),
          [32_000, 6_551, 52],
        );
        assert.deepEqual(
          await parquetReadObjects({ file }),
          given.map(({ key, ts, value }) => ({
            device: device.uid,
            key,
            ts: new Date(ts),
            number: typeof value === "number" ? value : null,
            boolean: typeof value === "boolean" ? value : null,
            text: typeof value === "string" ? value : null,
          })),
        );
        assert.deepEqual(await parquetReadObjects({ file: await read("&key=missing") }), []);
      });
    });
  });
}
