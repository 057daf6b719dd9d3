import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { createAccessToken, MAX_PERSONAL_TOKENS, MAX_SERVICES, purgeAccessTokens, revokeAccessToken } from "../../store/access-tokens.ts";
import { PLATFORM } from "../../core/principal.ts";
import { addMember, setMemberRole } from "../../store/members.ts";
import { databases } from "../support/databases.ts";
import { assertEnvelope, field, startTestApi, type TestApi } from "./test-api.ts";

interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly permissions: string[] | null;
  readonly devices: string[] | null;
}
interface Member {
  readonly token: string;
  readonly userId: string;
  readonly organizationId: string;
}

const DAY_MS = 86_400_000;

async function addDevice(hub: TestApi, { token }: Pick<Member, "token">): Promise<{ id: string; uid: string }> {
  const made = await hub.ask("POST", "/api/v1/devices", { token, body: { name: "Relay", device_class: "relay_controller" } });
  assert.equal(made.status, 201, made.text);
  return { id: (made.json["device"] as { id: string }).id, uid: field(made, "device_uid") };
}

const make = (hub: TestApi, token: string, body: object) =>
  hub.ask("POST", "/api/v1/access-tokens", { token, body: { kind: "personal", name: "limited", ...body } });

async function limited(hub: TestApi, token: string, body: object): Promise<string> {
  const made = await make(hub, token, body);
  assert.equal(made.status, 201, made.text);
  return field(made, "token");
}

for (const { name, skip, open } of databases()) {
  describe(`${name}: a limited token`, { skip }, () => {
    async function scene() {
      await using stack = new AsyncDisposableStack();
      const database = stack.use(await open());
      const hub = stack.use(await startTestApi({}, database.url));
      const owner = await hub.member("user", "owner");
      const [lamp, other] = [await addDevice(hub, owner), await addDevice(hub, owner)];
      const owned = stack.move();
      return { hub, owner, lamp, other, [Symbol.asyncDispose]: () => owned.disposeAsync() };
    }
    const command = (hub: TestApi, token: string, uid: string, headers: Record<string, string> = {}) =>
      hub.ask("POST", `/api/v1/devices/${uid}/commands`, { token, headers, body: { command: "set_relay", relay: 0, state: "ON" } });

    test("does what is in both: its limits and its owner's rights", async () => {
      await using place = await scene();
      const { hub, owner, lamp, other } = place;
      const reader = await limited(hub, owner.token, { permissions: ["device.read"] });
      const ofLamp = await limited(hub, owner.token, { permissions: ["device.read", "device.control"], devices: [lamp.uid] });
      const uids = async (token: string): Promise<unknown> =>
        ((await hub.ask("GET", "/api/v1/devices", { token })).json["data"] as { uid: string }[]).map(({ uid }) => uid);
      assert.deepEqual([await uids(reader), await uids(ofLamp)], [[lamp.uid, other.uid], [lamp.uid]]);
      assertEnvelope(await command(hub, reader, lamp.uid), 403, "forbidden");
      assertEnvelope(await command(hub, ofLamp, lamp.uid), 409, "device_offline");
      assertEnvelope(await command(hub, ofLamp, other.uid), 404, "not_found");
      for (const token of [reader, ofLamp]) {
        assertEnvelope(await hub.ask("PATCH", `/api/v1/devices/${lamp.uid}`, { token, body: { name: "x" } }), 403, "forbidden");
        assertEnvelope(await hub.ask("DELETE", `/api/v1/devices/${lamp.uid}`, { token }), 403, "forbidden");
        assertEnvelope(await hub.ask("GET", "/api/v1/audit", { token }), 403, "forbidden");
        assertEnvelope(await hub.ask("GET", `/api/v1/organizations/${owner.organizationId}/members`, { token }), 403, "forbidden");
      }

      await setMemberRole(hub.context.store.db, owner.organizationId, (await successor(hub, owner)).userId, "owner");
      await setMemberRole(hub.context.store.db, owner.organizationId, owner.userId, "viewer");
      await hub.context.access.changed([owner.userId]);
      assertEnvelope(await command(hub, ofLamp, lamp.uid), 403, "forbidden");
      assert.deepEqual(await uids(ofLamp), [lamp.uid]);
      await setMemberRole(hub.context.store.db, owner.organizationId, owner.userId, null);
      await hub.context.access.changed([owner.userId]);
      assertEnvelope(await hub.ask("GET", "/api/v1/devices", { token: ofLamp }), 403, "forbidden");
    });

    test("does not see a device that has left the organisation, nor one that came to it later", async () => {
      await using place = await scene();
      const { hub, owner, lamp, other } = place;
      const token = await limited(hub, owner.token, { devices: [lamp.id.toUpperCase(), other.uid] });
      assert.equal((await hub.ask("POST", `/api/v1/devices/${lamp.uid}/release`, { token: owner.token })).status, 200);
      const later = await addDevice(hub, owner);
      for (const [uid, status] of [
        [lamp.uid, 404],
        [later.uid, 404],
        [other.uid, 200],
      ] as const)
        assert.equal((await hub.ask("GET", `/api/v1/devices/${uid}`, { token })).status, status, uid);
    });

    test("reads what is its person's own and changes nothing of it", async () => {
      await using place = await scene();
      const { hub, owner } = place;
      const id = newId();
      for (const permissions of [["device.read"], undefined] as const) {
        const token = await limited(hub, owner.token, permissions ? { permissions } : { devices: [place.lamp.uid] });
        for (const path of ["/api/v1/auth/me", "/api/v1/auth/logins", "/api/v1/access-tokens", "/api/v1/organizations"])
          assert.equal((await hub.ask("GET", path, { token })).status, 200, path);
        const asked: [string, string, object?][] = [
          ["POST", "/api/v1/access-tokens", { kind: "personal", name: "more" }],
          ["DELETE", `/api/v1/access-tokens/${id}`],
          ["POST", "/api/v1/auth/logout"],
          ["DELETE", `/api/v1/auth/logins/${id}`],
          ["POST", "/api/v1/auth/organization", { organization_id: owner.organizationId }],
          ["POST", "/api/v1/invitations/accept", { token: "hxi_x" }],
          ["DELETE", `/api/v1/organizations/${owner.organizationId}/members/${owner.userId}`],
        ];
        for (const [method, path, body] of asked) assertEnvelope(await hub.ask(method, path, { token, body }), 403, "forbidden");
      }
    });

    test("of an administrator of the hub is no administrator's", async () => {
      await using place = await scene();
      const { hub, lamp } = place;
      const root = await hub.member("admin");
      const mine = await addDevice(hub, root);
      const all = ["device.read", "device.control", "device.manage", "device.own", "bus.publish", "member.read", "member.manage"];
      const token = await limited(hub, root.token, { permissions: [...all, "service.manage", "audit.read", "organization.manage"] });
      assert.equal((await hub.ask("GET", `/api/v1/devices/${lamp.uid}`, { token: root.token })).status, 200);
      assertEnvelope(await hub.ask("GET", `/api/v1/devices/${lamp.uid}`, { token }), 404, "not_found");
      assert.equal((await hub.ask("GET", `/api/v1/devices/${mine.uid}`, { token })).status, 200);
      for (const [method, path, body] of [
        ["GET", "/api/v1/signing-keys"],
        ["POST", "/api/v1/signing-keys/rotate", { purpose: "user_jwt" }],
        ["POST", "/api/v1/organizations", { name: "Another" }],
      ] as const)
        assertEnvelope(await hub.ask(method, path, { token, body }), 403, "forbidden");
      const seen = await hub.ask("GET", "/api/v1/organizations", { token });
      assert.deepEqual(
        (seen.json["data"] as { id: string }[]).map(({ id }) => id),
        [root.organizationId],
      );
      assertEnvelope(await make(hub, root.token, { devices: [lamp.uid] }), 404, "not_found");
    });

    test("is not made with more than its maker has, nor for what is not theirs to see", async () => {
      await using place = await scene();
      const { hub, owner, lamp } = place;
      const stranger = await hub.member("user", "viewer");
      const refusals: [object, number, string][] = [
        [{ permissions: ["device.control"] }, 403, "forbidden"],
        [{ permissions: ["device.read", "audit.read"] }, 403, "forbidden"],
        [{ kind: "service", permissions: ["device.read"] }, 403, "forbidden"],
        [{ devices: [lamp.uid] }, 404, "not_found"],
        [{ devices: [newId()] }, 404, "not_found"],
      ];
      for (const [body, status, code] of refusals) assertEnvelope(await make(hub, stranger.token, body), status, code);
      const [foreign, missing] = [
        await make(hub, stranger.token, { devices: [lamp.id] }),
        await make(hub, stranger.token, { devices: [newId()] }),
      ];
      assert.equal(foreign.json["message"], missing.json["message"]);
      const refused: [object, number, string][] = [
        [{ kind: "service", permissions: ["audit.read"] }, 403, "forbidden"],
        [{ devices: [lamp.uid, newId()] }, 404, "not_found"],
        [{ devices: [lamp.uid], permissions: ["member.read"] }, 400, "validation_error"],
        [{ devices: [lamp.uid], permissions: ["device.own"] }, 400, "validation_error"],
        [{ devices: Array.from({ length: 101 }, newId) }, 400, "validation_error"],
        [{ devices: [] }, 400, "validation_error"],
        [{ permissions: [] }, 400, "validation_error"],
        [{ permissions: ["everything"] }, 400, "validation_error"],
        [{ purpose: "homekit" }, 400, "validation_error"],
        [{ kind: "service", purpose: "toaster" }, 400, "validation_error"],
      ];
      for (const [body, status, code] of refused) assertEnvelope(await make(hub, owner.token, body), status, code);
      assert.deepEqual((await hub.ask("GET", "/api/v1/access-tokens", { token: stranger.token })).json["data"], []);
    });

    test("of a machine says what it is for, where somebody has said", async () => {
      await using place = await scene();
      const { hub, owner } = place;
      const made = await make(hub, owner.token, { kind: "service", name: "homebridge", purpose: "homekit" });
      assert.deepEqual([made.status, made.json["purpose"]], [201, "homekit"]);
      await make(hub, owner.token, { kind: "service", name: "nodered" });
      const listed = (await hub.ask("GET", "/api/v1/access-tokens", { token: owner.token })).json["data"] as {
        name: string;
        purpose: unknown;
      }[];
      const purposeOf = (account: string): unknown => listed.find((one) => one.name === account)?.purpose;
      assert.deepEqual([purposeOf("homebridge"), purposeOf("nodered")], ["homekit", null]);
    });

    test("of a machine may do part of what machines may", async () => {
      await using place = await scene();
      const { hub, owner, lamp, other } = place;
      const token = await limited(hub, owner.token, {
        kind: "service",
        name: "dashboard",
        permissions: ["device.read"],
        devices: [lamp.uid],
      });
      assert.equal((await hub.ask("GET", `/api/v1/devices/${lamp.uid}`, { token })).status, 200);
      assertEnvelope(await hub.ask("GET", `/api/v1/devices/${other.uid}`, { token }), 404, "not_found");
      assertEnvelope(await command(hub, token, lamp.uid), 403, "forbidden");
      assertEnvelope(await hub.ask("POST", "/api/v1/devices", { token, body: { name: "x", device_class: "ir_hub" } }), 403, "forbidden");
    });

    test("is shown with its limits, page by page, and for a month after its end", async () => {
      await using place = await scene();
      const { hub, owner, lamp } = place;
      const { db } = hub.context.store;
      await limited(hub, owner.token, { name: "whole" });
      await limited(hub, owner.token, { name: "reader", permissions: ["device.read"], devices: [lamp.uid] });
      const ended = await make(hub, owner.token, { name: "ended" });
      assert.equal((await hub.ask("DELETE", `/api/v1/access-tokens/${field(ended, "id")}`, { token: owner.token })).status, 204);
      const seen: TokenView[] = [];
      let path: string | undefined = "/api/v1/access-tokens?limit=2";
      while (path !== undefined) {
        const { json } = await hub.ask("GET", path, { token: owner.token });
        seen.push(...(json["data"] as TokenView[]));
        path = json["next_cursor"] === null ? undefined : `/api/v1/access-tokens?limit=2&cursor=${json["next_cursor"] as string}`;
      }
      assert.deepEqual(
        seen.map((one) => [one.name, one.permissions, one.devices]),
        [
          ["whole", null, null],
          ["reader", ["device.read"], [lamp.id]],
          ["ended", null, null],
        ],
      );
      assert.equal(await purgeAccessTokens(db, Date.now() + 29 * DAY_MS), 0);
      assert.equal(await purgeAccessTokens(db, Date.now() + 31 * DAY_MS), 1);
    });

    test("gets no answer that was given to its person's login", async () => {
      await using place = await scene();
      const { hub, owner, lamp, other } = place;
      const token = await limited(hub, owner.token, { permissions: ["device.read", "device.control"], devices: [lamp.uid] });
      const headers = { "idempotency-key": "once" };
      assertEnvelope(await command(hub, owner.token, other.uid, headers), 409, "device_offline");
      assert.equal((await command(hub, owner.token, other.uid, headers)).headers.get("idempotency-replayed"), "true");
      const asked = await command(hub, token, other.uid, headers);
      assertEnvelope(asked, 404, "not_found");
      assert.equal(asked.headers.get("idempotency-replayed"), null);
    });

    test("and every other is one of a hundred, and a machine one of a thousand of its organisation", async () => {
      await using place = await scene();
      const { hub, owner } = place;
      const { store, keys } = hub.context;
      const { userId, organizationId } = owner;
      const ids: string[] = [];
      const personal = { kind: "personal", userId, organizationId } as const;
      await createAccessToken(store.db, keys, { ...personal, name: "over", expiresAt: new Date(Date.now() - 1_000).toISOString() });
      for (let count = 1; count < MAX_PERSONAL_TOKENS; count++)
        ids.push((await createAccessToken(store.db, keys, { ...personal, name: `t${count}` })).id);
      const both = await Promise.all([make(hub, owner.token, {}), make(hub, owner.token, {})]);
      assert.deepEqual(
        both.map(({ status }) => status).toSorted((a, b) => a - b),
        [201, 429],
      );
      assertEnvelope(await make(hub, owner.token, {}), 429, "quota_exceeded");
      await revokeAccessToken(store.db, PLATFORM, ids[0] as string, Date.now());
      assert.equal((await make(hub, owner.token, {})).status, 201);
      const { token: another } = await hub.member();
      assert.equal((await make(hub, another, {})).status, 201, "another person has a hundred of their own");

      const row = (count: number) => ({
        id: newId(),
        kind: "service",
        name: `s${count}-${organizationId}`,
        organization_id: organizationId,
        token_hash: newId(),
        created_at: new Date().toISOString(),
      });
      await store.db.batchInsert(
        "access_tokens",
        Array.from({ length: MAX_SERVICES - 1 }, (_, count) => row(count)),
        100,
      );
      assert.equal((await make(hub, owner.token, { kind: "service", name: "the-last" })).status, 201);
      assertEnvelope(await make(hub, owner.token, { kind: "service", name: "too-many" }), 429, "quota_exceeded");
      assert.equal((await make(hub, another, { kind: "service", name: "elsewhere" })).status, 201);
    });
  });
}

/** Somebody who may be the organisation's owner after this one. */
async function successor(hub: TestApi, { organizationId }: Member): Promise<{ userId: string }> {
  const next = await hub.member();
  await addMember(hub.context.store.db, organizationId, next.userId, null);
  return next;
}
