import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { describe, test } from "node:test";
import { parquetReadObjects } from "hyparquet";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import { MOST_REFUSED_TOLD } from "../../core/reading-import.ts";
import { endLogin } from "../../store/logins.ts";
import { rowsOf } from "../../store/sql.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { inScene, type Json, type Scene } from "./places-scene.ts";

const DAY_MS = 86_400_000;
const NDJSON = "application/x-ndjson";
const VALUES = [
  1,
  -0.5,
  1e21,
  5e-324,
  0,
  true,
  false,
  "",
  "plain",
  "12",
  "true",
  "'",
  "'quoted",
  "=1+1",
  "'=1+1",
  "-5",
  'a "b", c',
  "one\r\ntwo\nthree\r",
  "😀 ü",
  "@home",
] as const;

interface Imported {
  readonly status: number;
  readonly json: Json;
  readonly report: Json;
}

async function answerOf(response: IncomingMessage): Promise<Imported> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const json = JSON.parse(Buffer.concat(chunks).toString()) as Json;
  return { status: response.statusCode ?? 0, json, report: (json["import"] ?? {}) as Json };
}

/** A file that is sent by and by; its answer. */
function open({ hub }: Scene, { token }: { token: string }, headers: Record<string, string> = {}) {
  const sending: ClientRequest = request(`${hub.api.url}/api/v1/readings/import`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": NDJSON, ...headers },
  });
  const answer = once(sending, "response").then(([response]) => answerOf(response as IncomingMessage));
  answer.catch(() => undefined);
  sending.on("error", () => undefined);
  return { sending, answer };
}

async function send(scene: Scene, who: { token: string }, file: string | Buffer, headers: Record<string, string> = {}): Promise<Imported> {
  const { sending, answer } = open(scene, who, headers);
  sending.end(file);
  return await answer;
}

const CSV = { "content-type": "text/csv; charset=utf-8" };
const counts = ({ state, lines, stored, known, refused }: Json): unknown[] => [state, lines, stored, known, refused];
const lineOf = (uid: string, ts: number, value: unknown, key = "t"): string => `${JSON.stringify({ device: uid, key, ts, value })}\n`;
const readingsOf = async ({ ask, owner }: Scene, uid: string, from: number): Promise<Json[]> =>
  (await ask(owner, "GET", `readings?device=${uid}&key=t&from=${from}&limit=10000`)).json["data"] as Json[];

async function device(scene: Scene, name = "Sensor"): Promise<Json & { id: string; uid: string }> {
  return (await scene.make("devices", { name })) as Json & { id: string; uid: string };
}

for (const { name, skip, open: openDatabase } of databases())
  describe(`files of readings on ${name}`, { skip }, () => {
    test("hold what was stored, and bring the same to another device, in either form and as often as they come", async () => {
      await inScene(openDatabase, async (scene) => {
        const { hub, owner } = scene;
        const { db } = hub.context.store;
        const [from, csvTo, jsonTo] = [await device(scene), await device(scene), await device(scene)] as const;
        const start = Date.now() - 300 * DAY_MS;
        const given = VALUES.map((value, index) => ({ key: "t", ts: start + index * 7 * DAY_MS, value }));
        await hub.context.telemetry.ensurePartitions(given.map(({ ts }) => ts));
        await hub.context.telemetry.insert(
          db,
          given.map((one) => ({ deviceId: from.id, organizationId: owner.organizationId, ...one })),
        );
        const file = async (uid: string, format: string): Promise<Buffer> =>
          Buffer.from(
            await (
              await fetch(`${hub.api.url}/api/v1/readings/export?format=${format}&device=${uid}&from=${start}`, {
                headers: { authorization: `Bearer ${owner.token}` },
              })
            ).arrayBuffer(),
          );
        const [csv, ndjson] = [(await file(from.uid, "csv")).toString(), (await file(from.uid, "ndjson")).toString()];
        for (const [text, to, headers] of [
          [csv, csvTo, CSV],
          [ndjson, jsonTo, {}],
        ] as const) {
          const first = await send(scene, owner, text.replaceAll(from.uid, to.uid), headers);
          assert.deepEqual([first.status, counts(first.report)], [200, ["completed", VALUES.length, VALUES.length, 0, 0]]);
          const again = await send(scene, owner, text.replaceAll(from.uid, to.id.toUpperCase()), headers);
          assert.deepEqual(counts(again.report), ["completed", VALUES.length, 0, VALUES.length, 0]);
          assert.equal((await file(to.uid, "ndjson")).toString(), ndjson.replaceAll(from.uid, to.uid));
          assert.equal((await file(to.uid, "csv")).toString(), csv.replaceAll(from.uid, to.uid));
        }
        const marked = await rowsOf<{ count: number }>(
          db,
          "select count(*) as count from telemetry_dirty where series_id = (select id from series where device_id = ?)",
          [csvTo.id],
        );
        assert.equal(marked[0]?.count, VALUES.length, "each hour is summed up");

        const parquet = await file(from.uid, "parquet");
        const rows = await parquetReadObjects({
          file: parquet.buffer.slice(parquet.byteOffset, parquet.byteOffset + parquet.length) as ArrayBuffer,
        });
        assert.deepEqual(
          rows,
          given.map(({ key, ts, value }) => ({
            device: from.uid,
            key,
            ts: new Date(ts),
            number: typeof value === "number" ? value : null,
            boolean: typeof value === "boolean" ? value : null,
            text: typeof value === "string" ? value : null,
          })),
        );
      });
    });

    test("replace no newer value, and make no device look as if it had been heard just now", async () => {
      await inScene(openDatabase, async (scene) => {
        const { hub, owner, ask } = scene;
        const { id, uid } = await device(scene);
        const now = Date.now();
        await hub.context.telemetry.ensurePartitions([now]);
        await hub.context.telemetry.insert(hub.context.store.db, [
          { deviceId: id, organizationId: owner.organizationId, key: "t", ts: now - 60_000, value: 1 },
        ]);
        const latest = async (): Promise<Json[]> => (await ask(owner, "GET", `readings/latest?device=${uid}`)).json["data"] as Json[];
        const [before] = await latest();
        const file = lineOf(uid, now - 3_600_000, 2) + lineOf(uid, now - 120_000, 3) + lineOf(uid, now - 120_000, 5, "other");
        assert.deepEqual(counts((await send(scene, owner, file)).report), ["completed", 3, 3, 0, 0]);
        const [other, unchanged] = await latest();
        assert.deepEqual(unchanged, before);
        assert.deepEqual([other?.["value"], other?.["received_at"]], [5, new Date(now - 120_000).toISOString()]);
        await send(scene, owner, lineOf(uid, now - 30_000, 4));
        const newer = (await latest())[1];
        assert.deepEqual([newer?.["value"], newer?.["received_at"]], [4, before?.["received_at"]]);
        const told = hub.published.filter(({ topic }) => topic !== HUB_TOPICS.homes);
        assert.equal(told.length, 0, "nobody is told of history");
      });
    });

    test("hold nothing of a series that it keeps for fewer days", async () => {
      await inScene(openDatabase, async (scene) => {
        const { owner, ask } = scene;
        const { uid } = await device(scene);
        const now = Date.now();
        assert.equal((await ask(owner, "PUT", `devices/${uid}/series/brief/retention`, { days: 2 })).status, 200);
        const file = [now, now - 5 * DAY_MS].flatMap((ts) => [lineOf(uid, ts, 1, "brief"), lineOf(uid, ts, 1)]).join("");
        const { report } = await send(scene, owner, file);
        assert.deepEqual(counts(report), ["completed", 4, 3, 0, 1]);
        assert.deepEqual(
          (report["refusals"] as Json[]).map(({ line, code }) => [line, code]),
          [[3, "past_retention"]],
        );
      });
    });

    test("are told by the line what is refused, and the rest is stored", async () => {
      await inScene(openDatabase, async (scene) => {
        const { hub, owner, ask, join } = scene;
        const { uid } = await device(scene);
        const stranger = await hub.member();
        const foreign = (await scene.make("devices", { name: "Theirs" }, stranger))["uid"] as string;
        const now = Date.now();
        assert.equal((await ask(owner, "PUT", "settings/readings.retention_days", { value: 30 })).status, 201);
        const wrong: readonly (readonly [string, string])[] = [
          ["no json\n", "bad_json"],
          [lineOf("sensor-missing", now, 1), "unknown_device"],
          [lineOf(foreign, now, 1), "unknown_device"],
          [lineOf(uid, now - 367 * DAY_MS, 1), "clock_out_of_range"],
          [lineOf(uid, now + 3_600_000, 1), "clock_out_of_range"],
          [lineOf(uid, now - 40 * DAY_MS, 1), "past_retention"],
          [lineOf(uid, now, null), "invalid_value"],
        ];
        const file = wrong.map(([text], index) => lineOf(uid, now - index, index) + text).join("");
        const { status, report } = await send(scene, owner, file);
        assert.deepEqual([status, counts(report)], [200, ["completed", 14, 7, 0, 7]]);
        const told = report["refusals"] as Json[];
        assert.deepEqual(
          told.map(({ line, code }) => [line, code]),
          wrong.map(([, code], index) => [2 * index + 2, code]),
        );
        assert.ok(told.every(({ message }) => typeof message === "string" && message.length > 10));
        const shown = await ask(owner, "GET", `readings/imports/${String(report["id"])}`);
        assert.deepEqual(shown.json["import"], report);
        const many = await send(scene, owner, "x\n".repeat(MOST_REFUSED_TOLD + 500));
        assert.equal((many.report["refusals"] as Json[]).length, MOST_REFUSED_TOLD);
        assert.equal(many.report["refused"], MOST_REFUSED_TOLD + 500);
        const listed = (await ask(owner, "GET", "readings/imports?limit=1")).json;
        assert.deepEqual(
          (listed["data"] as Json[]).map(({ id }) => id),
          [many.report["id"]],
        );
        assert.deepEqual(
          ((await ask(owner, "GET", `readings/imports?cursor=${String(listed["next_cursor"])}`)).json["data"] as Json[]).map(
            ({ id }) => id,
          ),
          [report["id"]],
        );
        assert.deepEqual((await ask(stranger, "GET", "readings/imports")).json["data"], []);
        assert.equal((await ask(stranger, "GET", `readings/imports/${String(report["id"])}`)).status, 404);

        const [guest, viewer] = [await join(null), await join("viewer")];
        const second = await device(scene);
        for (const [who, one, role] of [
          [guest, uid, "admin"],
          [viewer, second.uid, "admin"],
        ] as const)
          assert.equal(
            (await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, { user_id: who.userId, device: one, role })).status,
            200,
          );
        const both = lineOf(uid, now - 100, 1) + lineOf(second.uid, now - 100, 1);
        const ofGuest = await send(scene, guest, both);
        assert.deepEqual(
          (ofGuest.report["refusals"] as Json[]).map(({ code }) => code),
          ["unknown_device"],
        );
        const ofViewer = await send(scene, viewer, both);
        assert.deepEqual(
          (ofViewer.report["refusals"] as Json[]).map(({ code }) => code),
          ["forbidden"],
        );
        assert.deepEqual(
          ((await ask(guest, "GET", "readings/imports")).json["data"] as Json[]).map(({ id }) => id),
          [ofGuest.report["id"]],
        );
        assert.equal((await send(scene, await join("operator"), both)).status, 403);
      });
    });

    test("leave what was stored when they break off, and say so", async () => {
      await inScene(openDatabase, async (scene) => {
        const { owner, ask } = scene;
        const { uid } = await device(scene);
        const from = Date.now() - 3_600_000;
        const all = async (): Promise<Json[]> => (await ask(owner, "GET", "readings/imports")).json["data"] as Json[];
        const { sending } = open(scene, owner);
        let count = 0;
        const more = (): void => void sending.write(Array.from({ length: 500 }, () => lineOf(uid, from + count, count++)).join(""));
        more();
        const running = await until(
          async () => {
            more();
            return (await all()).find(({ state, stored }) => state === "running" && (stored as number) > 0);
          },
          { what: "progress" },
        );
        sending.destroy();
        const ended = await until(async () => (await all()).find(({ state }) => state !== "running"), {
          what: "the end",
          timeoutMs: 30_000,
        });
        assert.deepEqual([ended["id"], ended["state"], ended["error"]], [running["id"], "interrupted", "bad_json"]);
        const stored = await readingsOf(scene, uid, from);
        assert.equal(stored.length, Math.min(10_000, ended["stored"] as number));
        assert.equal(ended["lines"], ended["stored"]);
        const again = Array.from({ length: 600 }, (_, index) => lineOf(uid, from + index, index)).join("");
        const { report } = await send(scene, owner, again);
        assert.equal((report["known"] as number) + (report["stored"] as number), 600);
        assert.equal(report["known"], Math.min(600, ended["stored"] as number));
      });
    });

    test("stop when whoever sends them may not go on, and when the hub stops", async () => {
      await inScene(openDatabase, async (scene) => {
        const { hub, owner, ask } = scene;
        const { db } = hub.context.store;
        const { uid } = await device(scene);
        const from = Date.now() - 3_600_000;
        let count = 0;
        const more = (sending: ClientRequest): void => void sending.write(lineOf(uid, from + count, count++));
        const begun = async (): Promise<ReturnType<typeof open>> => {
          const file = open(scene, owner);
          const before = await db("reading_imports").where({ state: "running" }).select("id");
          await until(
            async () => {
              more(file.sending);
              return (await db("reading_imports").where({ state: "running" }).select("id")).length > before.length;
            },
            { what: "the row" },
          );
          return file;
        };
        const [first, second] = [await begun(), await begun()];
        const third = await send(scene, owner, "");
        assert.deepEqual([third.status, third.json["code"]], [429, "rate_limited"]);
        assert.equal((await send(scene, await hub.member(), "")).status, 200, "others have their own places");
        assert.equal((await ask(owner, "GET", "readings/imports")).status, 200);
        const [login] = (await db("logins").where({ user_id: owner.userId }).select("id")) as { id: string }[];
        await endLogin(db, login?.id ?? "", Date.now());
        let answered: Imported | undefined;
        void first.answer.then((answer) => (answered = answer));
        const refused = await until(
          () => {
            if (!answered) more(first.sending);
            return answered;
          },
          { what: "the refusal" },
        );
        assert.equal(refused.status, 401);
        await hub.context.readingImports[Symbol.asyncDispose]();
        assert.equal((await second.answer).status, 503);
        const rows = (await db("reading_imports").orderBy("id").select("state", "error")) as Json[];
        assert.deepEqual(
          rows.map(({ state, error }) => [state, error]).toSorted(([, a], [, b]) => String(a).localeCompare(String(b))),
          [
            ["completed", null],
            ["interrupted", "unauthorized"],
            ["interrupted", "unavailable"],
          ].toSorted(([, a], [, b]) => String(a).localeCompare(String(b))),
        );
      });
    });

    test("are refused whole when they are none, or too large", async () => {
      await inScene(openDatabase, async (scene) => {
        const { hub, owner, ask } = scene;
        const { uid } = await device(scene);
        for (const [file, headers, status] of [
          ["device,key,ts\n", CSV, 400],
          ["", CSV, 400],
          ["{}", { "content-type": "application/json" }, 415],
          ["{}", { "content-encoding": "gzip" }, 415],
        ] as const)
          assert.equal((await send(scene, owner, file, headers)).status, status);
        assert.deepEqual((await ask(owner, "GET", "readings/imports")).json["data"], []);
        Object.assign(hub.context.settings, { importMaxBytes: 100_000 });
        assert.equal((await send(scene, owner, Buffer.alloc(100_001, "\n"))).status, 413);
        const { sending, answer } = open(scene, owner, { "transfer-encoding": "chunked" });
        const now = Date.now();
        for (let count = 0; count < 3_000; count++) sending.write(lineOf(uid, now - count, count));
        sending.end();
        assert.equal((await answer).status, 413);
        const [row] = (await ask(owner, "GET", "readings/imports")).json["data"] as [Json];
        assert.deepEqual([row["state"], row["error"]], ["interrupted", "payload_too_large"]);
        assert.equal((await readingsOf(scene, uid, now - 10_000)).length, row["stored"]);
        const audited = (await ask(owner, "GET", "audit?action=reading_import.end")).json["data"] as { details: Json }[];
        assert.equal(audited[0]?.details["state"], "interrupted");
      });
    });
  });

test("a file may take longer than any other request", async () => {
  const [sqlite] = databases();
  assert.ok(sqlite);
  await inScene(sqlite.open, async (scene) => {
    const { hub, owner } = scene;
    const { uid } = await device(scene);
    // Looked after every five seconds.
    Object.assign(hub.api.server, { headersTimeout: 100, requestTimeout: 200 });
    const late = once(hub.api.server, "clientError") as Promise<[Error & { code: string }]>;
    const { sending, answer } = open(scene, owner);
    sending.write(lineOf(uid, Date.now() - 1, 1));
    assert.equal((await late)[0].code, "ERR_HTTP_REQUEST_TIMEOUT");
    sending.end(lineOf(uid, Date.now(), 2));
    assert.deepEqual(counts((await answer).report), ["completed", 2, 2, 0, 0]);
  });
});
