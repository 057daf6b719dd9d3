import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { databases } from "../support/databases.ts";
import { ids, inScene, type Json, type Scene } from "./places-scene.ts";
import { type Answered, assertEnvelope, statusesOf } from "./test-api.ts";

const HEAD = "Filetype: IR signals file\nVersion: 1\n";
const POWER = "#\nname: Power\ntype: parsed\nprotocol: NECext\naddress: EE 87 00 00\ncommand: 5D A0 00 00\n";
const SWING = "#\nname: Swing\ntype: raw\nfrequency: 36000\nduty_cycle: 0.330000\ndata: 3012 2975 3006 4421 551 1662 550\n";
const PRONTO = "0000 006D 0002 0001 0155 00AA 0015 0600 0155 0055";
const RAW = { format: "timings", name: "Fan", timings: [900, -450, 560], carrier_hz: 40_000, repeat: 2 };

const etag = (answer: Answered): Record<string, string> => ({ "if-match": answer.headers.get("etag") as string });
const code = (answer: Answered): Json & { id: string } => answer.json["ir_code"] as Json & { id: string };
const paths = (answer: Answered): unknown[] => (answer.json["details"] as Json[]).map(({ path }) => path);

async function device({ make }: Pick<Scene, "make">): Promise<{ id: string; codes: string }> {
  const { id } = await make("devices", { name: `IR ${newId()}`, device_class: "ir_hub" });
  return { id, codes: `devices/${id}/ir-codes` };
}

async function add({ ask, owner }: Scene, codes: string, body: object): Promise<Answered> {
  const answer = await ask(owner, "POST", codes, body);
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

const send = ({ hub, owner }: Scene, codes: string, file: string, type = "text/plain"): Promise<Answered> =>
  hub.ask("POST", `/api/v1/${codes}/import`, { token: owner.token, body: file, headers: { "content-type": type } });

for (const { name, skip, open } of databases()) {
  describe(`infrared codes on ${name}`, { skip }, () => {
    test("come back as they were written, in every form", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { id: deviceId, codes } = await device(scene);
        const made = await add(scene, codes, RAW);
        const raw = code(made);
        assert.deepEqual(
          { ...raw, created_at: "", updated_at: "" },
          {
            id: raw.id,
            device_id: deviceId,
            name: "Fan",
            source: "written",
            carrier_hz: 40_000,
            timings_count: 3,
            repeat: 2,
            repeat_from: 0,
            written_as: null,
            recognised: null,
            timings: [900, -450, 560],
            created_at: "",
            updated_at: "",
          },
        );
        assert.deepEqual((await ask(owner, "GET", `${codes}/${raw.id.toUpperCase()}`)).json, made.json);

        const nec = code(await add(scene, codes, { format: "protocol", name: "Power", protocol: "NEC", address: 4, command: 8 }));
        const message = { protocol: "NEC", address: 4, command: 8 };
        assert.deepEqual([nec["written_as"], nec["recognised"]], [message, message]);
        const flipper = code(await ask(owner, "GET", `${codes}/${nec.id}?format=flipper`));
        assert.match(String(flipper["flipper"]), /protocol: NEC\naddress: 04 00 00 00\ncommand: 08 00 00 00\n$/);
        assert.equal(flipper["timings"], undefined);

        const timings = code(await add(scene, codes, { format: "timings", name: "Same", timings: nec["timings"] }));
        assert.deepEqual([timings["written_as"], timings["recognised"]], [null, message]);

        const pronto = code(await add(scene, codes, { format: "pronto", name: "Hold", pronto: PRONTO }));
        assert.equal(pronto["repeat_from"], 4);
        assert.equal(code(await ask(owner, "GET", `${codes}/${pronto.id}?format=pronto`))["pronto"], PRONTO);

        const broadlink = Buffer.from([0x26, 1, 2, 0, 100, 50]).toString("base64");
        const packed = code(await add(scene, codes, { format: "broadlink", name: "Packed", broadlink }));
        assert.deepEqual([packed["timings"], packed["repeat"]], [[3_045, -1_523], 1]);

        const first = await ask(owner, "GET", `${codes}?limit=3`);
        assert.deepEqual(ids(first), [raw.id, nec.id, timings.id]);
        const next = await ask(owner, "GET", `${codes}?limit=3&cursor=${String(first.json["next_cursor"])}`);
        assert.deepEqual([ids(next), next.json["next_cursor"]], [[pronto.id, packed.id], null]);
        assert.deepEqual(ids(await ask(owner, "GET", `${codes}?search=POW`)), [nec.id]);
        assert.equal((first.json["data"] as Json[])[0]?.["timings"], undefined);
      });
    });

    test("are renamed and removed with If-Match, audited, and gone with their device", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id: deviceId, codes } = await device(scene);
        const made = await add(scene, codes, RAW);
        const one = `${codes}/${code(made).id}`;
        for (const [method, body] of [["PATCH", { name: "x" }], ["DELETE"]] as const)
          assertEnvelope(await ask(owner, method, one, body), 428, "precondition_required");
        const renamed = await ask(owner, "PATCH", one, { name: "Fan 2" }, etag(made));
        assert.deepEqual([renamed.status, code(renamed)["name"], code(renamed)["timings"]], [200, "Fan 2", RAW.timings]);
        assertEnvelope(await ask(owner, "PATCH", one, { name: "y" }, etag(made)), 412, "precondition_failed");
        assert.equal((await ask(owner, "DELETE", one, undefined, etag(renamed))).status, 204);
        assertEnvelope(await ask(owner, "GET", one), 404, "not_found");
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 100 });
        assert.deepEqual(
          items.filter(({ resourceId }) => resourceId === code(made).id).map(({ action }) => action),
          ["ir_code.delete", "ir_code.update", "ir_code.create"],
        );

        await add(scene, codes, RAW);
        assert.equal((await ask(owner, "POST", `devices/${deviceId}/release`)).status, 200);
        const { db } = hub.context.store;
        assert.equal((await db("device_ir_codes").where({ device_id: deviceId })).length, 0);
        const other = await device(scene);
        await add(scene, other.codes, RAW);
        assert.equal((await ask(owner, "DELETE", `devices/${other.id}`)).status, 204);
        assert.equal((await db("device_ir_codes")).length, 0);
      });
    });

    test("of a Flipper file come in and go out without a difference", async () => {
      await inScene(open, async (scene) => {
        const { owner, hub } = scene;
        const { codes } = await device(scene);
        const imported = await send(scene, codes, `\uFEFF${`${HEAD}# a comment\n${POWER}${SWING}`.replaceAll("\n", "\r\n")}`);
        assert.equal(imported.status, 201, imported.text);
        assert.deepEqual(
          [imported.json["imported"], (imported.json["data"] as Json[]).map(({ name: each }) => each)],
          [2, ["Power", "Swing"]],
        );
        const exported = await hub.ask("GET", `/api/v1/${codes}/export`, { token: owner.token });
        assert.equal(exported.text, HEAD + POWER + SWING);
        assert.match(exported.headers.get("content-disposition") ?? "", /\.ir"/);
        const again = await device(scene);
        assert.equal((await send(scene, again.codes, exported.text)).status, 201);
        assert.equal((await hub.ask("GET", `/api/v1/${again.codes}/export`, { token: owner.token })).text, exported.text);
      });
    });

    test("of a SmartIR file are named by mode, fan and temperature", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { codes } = await device(scene);
        const file = { commandsEncoding: "Raw", commands: { off: "900 -450", cool: { low: { "20": "[900,-450,1]", "18": "900,450" } } } };
        assert.equal((await send(scene, codes, JSON.stringify(file), "application/json")).status, 201);
        const { json } = await ask(owner, "GET", codes);
        assert.deepEqual(
          (json["data"] as Json[]).map((one) => one["name"]),
          ["off", "cool/low/18", "cool/low/20"],
        );
      });
    });

    test("are all refused with the line that is wrong, and none is kept", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner } = scene;
        const { codes } = await device(scene);
        const wrong = await send(scene, codes, `${HEAD}${POWER}${SWING.replace("3006", "NaN")}`);
        assertEnvelope(wrong, 400, "validation_error");
        assert.deepEqual(paths(wrong), ["/lines/14"]);
        assert.match(String(wrong.json["message"]), /^line 14: .*NaN/);
        assertEnvelope(await send(scene, codes, '{"commandsEncoding":\n"Base64",\n"commands": {"on": "?"}}'), 400, "validation_error");
        assertEnvelope(await send(scene, codes, "x".repeat(1_048_577)), 413, "payload_too_large");
        for (const body of ["", "[]", "5", "null", '{"bogus":1}', "{"])
          assertEnvelope(await send(scene, codes, body), 400, "validation_error");
        assert.deepEqual(ids(await ask(owner, "GET", codes)), []);
        for (const [body, path] of [
          [{ ...RAW, timings: [900, 450] }, "/timings"],
          [{ ...RAW, timings: [900, -450.5] }, "/timings/1"],
          [{ ...RAW, timings: [900] }, "/timings"],
          [{ ...RAW, timings: [-900, 450] }, "/timings"],
          [{ ...RAW, carrier_hz: -38_000 }, "/carrier_hz"],
          [{ format: "protocol", name: "x", protocol: "NEC", address: 256, command: 0 }, "/address"],
          [{ format: "protocol", name: "x", protocol: "None", address: 0, command: 0 }, "/protocol"],
          [{ format: "pronto", name: "x", pronto: "0000 006D" }, "/pronto"],
          [{ format: "broadlink", name: "x", broadlink: "?" }, "/broadlink"],
        ] as [object, string][]) {
          const answer = await ask(owner, "POST", codes, body);
          assertEnvelope(answer, 400, "validation_error");
          assert.deepEqual(paths(answer), [path], answer.text);
        }
      });
    });

    test("are at most 2,000 of a device, however many are added at once", async () => {
      await inScene(open, async (scene) => {
        const { codes } = await device(scene);
        const file = (count: number) => HEAD + SWING.repeat(count);
        assert.equal((await send(scene, codes, file(1_900))).status, 201);
        const answers = await Promise.all([60, 60, 60].map((count) => send(scene, codes, file(count))));
        assert.deepEqual(statusesOf(answers), [201, 429, 429]);
        assert.equal((await send(scene, codes, file(40))).status, 201);
        assertEnvelope(await scene.ask(scene.owner, "POST", codes, RAW), 429, "quota_exceeded");
      });
    });

    test("are sent as the command ir_send, with whatever comes of it", async () => {
      await inScene(open, async (scene) => {
        const { ask, owner, hub } = scene;
        const { id: deviceId, codes } = await device(scene);
        const { id } = code(await add(scene, codes, RAW));
        const done = { commandId: "c1", status: "ok", taskId: null, latencyMs: 3, state: null } as const;
        hub.commandAnswer.next = async () => done;
        const answer = await ask(owner, "POST", `${codes}/${id}/send`, { command_id: "c1", queue_for_s: 5 });
        assert.deepEqual([answer.status, answer.json["status"]], [200, "ok"]);
        const [request] = hub.sent;
        const { timings, carrier_hz, repeat } = RAW;
        assert.deepEqual(
          [request?.command, request?.device, request?.commandId, request?.queueForMs, request?.source],
          [{ command: "ir_send", timings, carrier_hz, repeat }, deviceId, "c1", 5_000, "rest"],
        );
        const held = code(await add(scene, codes, { format: "pronto", name: "Hold", pronto: PRONTO }));
        await ask(owner, "POST", `${codes}/${held.id}/send`, { repeat: 2 });
        const [, press] = hub.sent;
        assert.equal(press?.command.command === "ir_send" && press.command.timings.length, 8);
        hub.commandAnswer.next = async () => ({ ...done, status: "awaiting_confirmation", taskId: "t1" });
        const waiting = await ask(owner, "POST", `${codes}/${id}/send`, {});
        assert.deepEqual([waiting.status, waiting.json["status"], waiting.json["task_id"]], [202, "awaiting_confirmation", "t1"]);
        hub.commandAnswer.next = () => Promise.reject(new HubError("device_offline", "the device is not connected"));
        assertEnvelope(await ask(owner, "POST", `${codes}/${id}/send`, {}), 409, "device_offline");
        assertEnvelope(await ask(owner, "POST", `${codes}/${newId()}/send`, {}), 404, "not_found");
        assertEnvelope(await ask(owner, "POST", `${codes}/learn`, {}), 409, "device_offline");
      });
    });
  });
}
