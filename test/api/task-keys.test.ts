import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { type Answered, apiOfSuite, assertEnvelope, field, OPERATOR, PROVISION_KEY } from "./test-api.ts";

const RELAY = { name: "Hall", device_class: "relay_controller", capabilities: { relays: 2, tasks: true } };

for (const engine of databases())
  describe(`task keys on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);
    const add = (token: string) => hub().ask("POST", "/api/v1/devices", { token, body: RELAY });
    const rotate = (uid: string, token: string, headers: Record<string, string> = {}) =>
      hub().ask("POST", `/api/v1/devices/${uid}/task-key`, { token, headers });
    const keyIn = (answer: Answered) => ({ id: field(answer, "task_key_id"), secret: Buffer.from(field(answer, "task_key"), "base64url") });
    async function presentKey(uid: string) {
      const { db } = hub().context.store;
      const { id } = (await db("devices").where({ uid }).first("id")) as { id: string };
      return await hub().context.taskKeys.taskKeyOf(db, id);
    }

    test("are handed out wherever a device gets its credentials, and each device has its own", async () => {
      const owner = await hub().member();
      const made = await add(owner.token);
      assert.equal(made.status, 201, made.text);
      const uid = field(made, "device_uid");
      const key = keyIn(made);
      assert.deepEqual([key.id, key.secret.length], ["1", 32]);
      assert.match(field(made, "task_key"), /^[\w-]{43}$/);
      assert.deepEqual(key, await presentKey(uid));
      assert.equal((made.json["device"] as { capabilities: { tasks?: boolean } }).capabilities.tasks, true);

      const registered = await hub().ask("POST", "/api/v1/provision/register", {
        body: RELAY,
        headers: { "x-provision-key": PROVISION_KEY },
      });
      assert.deepEqual(keyIn(registered), await presentKey(field(registered, "device_uid")));
      assert.notDeepEqual(keyIn(registered).secret, key.secret);

      const again = await hub().ask("POST", `/api/v1/devices/${uid}/rotate-token`, { token: owner.token });
      assert.equal(again.status, 201, again.text);
      assert.deepEqual(keyIn(again), key);
    });

    test("change when somebody asks: the next one counts at once, and the one before it for a day", async () => {
      const owner = await hub().member();
      const made = await add(owner.token);
      const uid = field(made, "device_uid");
      const before = hub().context.clock();
      const ended = hub().disconnected.length;
      const rotated = await rotate(uid, owner.token);
      assert.equal(rotated.status, 201, rotated.text);
      assert.equal(field(rotated, "device_uid"), uid);
      const next = keyIn(rotated);
      assert.equal(next.id, "2");
      assert.notDeepEqual(next.secret, keyIn(made).secret);
      assert.deepEqual(await presentKey(uid), next);
      const until = Date.parse(field(rotated, "former_valid_until"));
      assert.ok(until >= before + 86_400_000 && until <= hub().context.clock() + 86_400_000);
      // Logins go on.
      assert.equal(hub().disconnected.length, ended);
      const other = await rotate(uid, owner.token);
      assert.equal(keyIn(other).id, "3");
    });

    test("change once for one idempotency key, whose answer is kept unreadable", async () => {
      const owner = await hub().member();
      const uid = field(await add(owner.token), "device_uid");
      const key = newId();
      const [first, second] = [
        await rotate(uid, owner.token, { "idempotency-key": key }),
        await rotate(uid, owner.token, { "idempotency-key": key }),
      ];
      assert.deepEqual(second.json, first.json);
      assert.equal(second.headers.get("idempotency-replayed"), "true");
      assert.equal((await presentKey(uid)).id, "2");
      const rows = JSON.stringify(await hub().context.store.db("idempotency_keys").select("*"));
      assert.ok(rows.includes(key) && !rows.includes(field(first, "task_key")));
    });

    test("of changes at once are all different, and the last one counts", async () => {
      const owner = await hub().member();
      const uid = field(await add(owner.token), "device_uid");
      const rotated = await Promise.all([0, 1, 2, 3].map(() => rotate(uid, owner.token)));
      assert.deepEqual(rotated.map((answer) => keyIn(answer).id).toSorted(), ["2", "3", "4", "5"]);
      assert.deepEqual(
        await presentKey(uid),
        rotated.map(keyIn).find(({ id }) => id === "5"),
      );
    });

    test("stand in no list, event or audit; that one was changed does", async () => {
      const owner = await hub().member();
      const made = await add(owner.token);
      const uid = field(made, "device_uid");
      const rotated = await rotate(uid, owner.token);
      const texts: string[] = [JSON.stringify(hub().emitted), JSON.stringify(hub().published), JSON.stringify(hub().logged)];
      for (const path of [
        "/api/v1/devices",
        `/api/v1/devices/${uid}`,
        `/api/v1/devices/${uid}/credentials`,
        "/api/v1/events",
        "/api/v1/audit",
      ]) {
        const answer = await hub().ask("GET", path, { token: owner.token });
        assert.equal(answer.status, 200, path);
        texts.push(answer.text);
      }
      for (const text of texts)
        for (const answer of [made, rotated]) {
          const { secret } = keyIn(answer);
          for (const form of ["base64url", "base64", "hex"] as const) assert.ok(!text.includes(secret.toString(form)), text.slice(0, 200));
        }
      const audit = JSON.parse(texts.at(-1) ?? "") as { data: { action: string; details: unknown }[] };
      const [note] = audit.data.filter(({ action }) => action === "device.rotate_task_key");
      assert.deepEqual(note?.details, { uid, task_key_id: "2" });
      const told = hub().emitted.filter(({ type, data }) => type === "device.task_key_rotated" && data["uid"] === uid);
      assert.deepEqual(
        told.map(({ data, organizationId }) => [data, organizationId]),
        [[{ uid, task_key_id: "2" }, owner.organizationId]],
      );
    });

    test("are nobody's to change who may not manage the device", async () => {
      const [owner, stranger] = [await hub().member(), await hub().member()];
      const uid = field(await add(owner.token), "device_uid");
      assertEnvelope(await rotate(uid, stranger.token), 404, "not_found");
      assertEnvelope(await rotate("relay-aaaaaaaaaa", owner.token), 404, "not_found");
      assertEnvelope(await rotate(newId(), OPERATOR), 404, "not_found");
      assertEnvelope(await hub().ask("POST", `/api/v1/devices/${uid}/task-key`), 401, "unauthorized");
      assertEnvelope(
        await hub().ask("POST", `/api/v1/devices/${uid}/task-key`, { token: owner.token, body: { generation: 7 } }),
        400,
        "validation_error",
      );
      assert.equal((await presentKey(uid)).id, "1");
    });
  });
