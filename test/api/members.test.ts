import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { MAX_INVITATIONS } from "../../store/invitations.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, field, startTestApi, type TestApi } from "./test-api.ts";

type Person = Awaited<ReturnType<TestApi["member"]>>;

interface Place {
  readonly hub: TestApi;
  readonly owner: Person;
  /** Below the owner's organisation. */
  readonly path: string;
  /** Somebody new in the owner's organisation, by invitation. */
  readonly join: (role: string | null) => Promise<{ token: string; userId: string; email: string }>;
  readonly addDevice: (name: string) => Promise<{ id: string; uid: string }>;
  readonly ask: (who: { token: string }, method: string, below: string, body?: object) => Promise<Answered>;
}

for (const { name, skip, open } of databases()) {
  describe(`people of an organisation on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const owner = await hub.member();
      const path = `/api/v1/organizations/${owner.organizationId}`;
      const ask: Place["ask"] = ({ token }, method, below, body) =>
        hub.ask(method, below.startsWith("/api") ? below : `${path}${below}`, { token, ...(body === undefined ? {} : { body }) });
      await work({
        hub,
        owner,
        path,
        ask,
        async join(role) {
          const email = `${newId()}@example.org`;
          const invited = await ask(owner, "POST", "/invitations", { email: email.toUpperCase(), role });
          assert.equal(invited.status, 201, invited.text);
          const made = await hub.ask("POST", "/api/v1/invitations/register", {
            body: { token: field(invited, "token"), password: "correct horse battery" },
          });
          assert.equal(made.status, 201, made.text);
          const user = made.json["user"] as { id: string; email: string; is_email_verified: boolean };
          assert.deepEqual([user.email, user.is_email_verified], [email, true]);
          return { token: field(made, "access_token"), userId: user.id, email };
        },
        async addDevice(deviceName) {
          const made = await ask(owner, "POST", "/api/v1/devices", { name: deviceName, device_class: "relay_controller" });
          const { id, uid } = made.json["device"] as { id: string; uid: string };
          return { id, uid };
        },
      });
    }

    const codes = async (answers: Promise<Answered>[]): Promise<number[]> => (await Promise.all(answers)).map(({ status }) => status);

    test("each role may do what it is for, and nothing of the next one", async () => {
      await inPlace(async ({ owner, ask, join, addDevice }) => {
        const { uid } = await addDevice("Lamp");
        const attempts = (who: { token: string }) =>
          codes([
            ask(who, "GET", "/api/v1/devices"),
            ask(who, "GET", `/api/v1/devices/${uid}`),
            ask(who, "GET", "/members"),
            ask(who, "POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state: "ON" }),
            ask(who, "PATCH", `/api/v1/devices/${uid}`, { name: "Lamp" }),
            ask(who, "POST", "/api/v1/devices", { name: "Another", device_class: "ir_hub" }),
            ask(who, "POST", "/invitations", { email: "x@example.org", role: "viewer" }),
            ask(who, "GET", "/api/v1/audit"),
            ask(who, "PATCH", "", { name: "Villa" }),
          ]);
        // 409: the device is not connected, which is for the command path to say.
        assert.deepEqual(await attempts(await join("viewer")), [200, 200, 200, 403, 403, 403, 403, 403, 403]);
        assert.deepEqual(await attempts(await join("operator")), [200, 200, 200, 409, 403, 403, 403, 403, 403]);
        assert.deepEqual(await attempts(await join("admin")), [200, 200, 200, 409, 200, 201, 201, 200, 403]);
        assert.deepEqual(await attempts(await join("owner")), [200, 200, 200, 409, 200, 201, 201, 200, 200]);
        assert.deepEqual(await attempts(await join(null)), [403, 403, 403, 403, 403, 403, 403, 403, 403]);
        assert.deepEqual(await attempts(owner), [200, 200, 200, 409, 200, 201, 201, 200, 200]);
      });
    });

    test("a role holds for the next request once it was changed; nobody gives or takes one above their own", async () => {
      await inPlace(async ({ owner, ask, join }) => {
        const [admin, viewer] = [await join("admin"), await join("viewer")];
        const add = (who: { token: string }) => ask(who, "POST", "/api/v1/devices", { name: "Lamp", device_class: "ir_hub" });
        assertEnvelope(await add(viewer), 403, "forbidden");
        assert.equal((await ask(admin, "PATCH", `/members/${viewer.userId}`, { role: "admin" })).status, 200);
        assert.equal((await add(viewer)).status, 201);
        assert.equal((await ask(viewer, "PATCH", `/members/${admin.userId}`, { role: null })).status, 200);
        assertEnvelope(await add(admin), 403, "forbidden");

        assertEnvelope(await ask(viewer, "PATCH", `/members/${viewer.userId}`, { role: "owner" }), 403, "forbidden");
        assertEnvelope(await ask(viewer, "PATCH", `/members/${owner.userId}`, { role: "viewer" }), 403, "forbidden");
        assertEnvelope(await ask(viewer, "DELETE", `/members/${owner.userId}`), 403, "forbidden");
        assertEnvelope(await ask(viewer, "POST", "/invitations", { email: "x@example.org", role: "owner" }), 403, "forbidden");
        assertEnvelope(await ask(viewer, "PATCH", `/members/${newId()}`, { role: "viewer" }), 404, "not_found");
        assertEnvelope(await ask(owner, "PATCH", `/members/${viewer.userId}`, { role: "king" }), 400, "validation_error");
      });
    });

    test("an organisation keeps an owner, also when two step down at once", async () => {
      await inPlace(async ({ owner, ask, join }) => {
        assertEnvelope(await ask(owner, "PATCH", `/members/${owner.userId}`, { role: "viewer" }), 409, "conflict");
        assertEnvelope(await ask(owner, "DELETE", `/members/${owner.userId}`), 409, "conflict");
        const second = await join("owner");
        const down = (who: { token: string; userId: string }) => ask(who, "DELETE", `/members/${who.userId}`);
        const both = await codes([down(owner), down(second)]);
        assert.deepEqual(
          both.toSorted((a, b) => a - b),
          [204, 409],
        );
        const left = both[0] === 204 ? second : owner;
        const members = (await ask(left, "GET", "/members")).json["data"] as { user_id: string; role: string }[];
        assert.deepEqual(
          members.map(({ user_id, role }) => [user_id, role]),
          [[left.userId, "owner"]],
        );
        // The login of whoever came by the invitation is that organisation's, and ends with it.
        if (both[0] === 204) assertEnvelope(await ask(owner, "GET", "/api/v1/devices"), 403, "forbidden");
        else assertEnvelope(await ask(second, "GET", "/api/v1/devices"), 401, "unauthorized");
      });
    });

    test("a grant opens one device and nothing beside it, until it is taken back or the device changes hands", async () => {
      await inPlace(async ({ hub, owner, ask, join, addDevice }) => {
        const [lamp, safe] = [await addDevice("Lamp"), await addDevice("Safe")];
        const guest = await join(null);
        const give = (deviceRef: string, role: string) => ask(owner, "POST", "/grants", { user_id: guest.userId, device: deviceRef, role });
        const seen = async () =>
          ((await ask(guest, "GET", "/api/v1/devices")).json["data"] as { uid: string }[] | undefined)?.map(({ uid }) => uid);
        const command = (uid: string) =>
          ask(guest, "POST", `/api/v1/devices/${uid}/commands`, { command: "set_relay", relay: 0, state: "ON" });
        assert.equal((await give(lamp.uid, "viewer")).status, 200);
        assert.deepEqual(await seen(), [lamp.uid]);
        assertEnvelope(await command(lamp.uid), 403, "forbidden");
        assertEnvelope(await ask(guest, "GET", `/api/v1/devices/${safe.uid}`), 404, "not_found");
        assertEnvelope(await ask(guest, "GET", `/api/v1/readings?device=${safe.uid}&key=t`), 404, "not_found");
        assert.equal((await ask(guest, "GET", `/api/v1/readings?device=${lamp.uid}&key=t`)).status, 200);
        const events = (await ask(guest, "GET", "/api/v1/events")).json["data"] as { entity_id: string }[];
        assert.deepEqual([...new Set(events.map(({ entity_id }) => entity_id))], [lamp.id]);
        assertEnvelope(await ask(guest, "GET", "/api/v1/users"), 403, "forbidden");

        assert.equal((await give(lamp.id, "operator")).status, 200);
        assertEnvelope(await command(lamp.uid), 409, "device_offline");
        assertEnvelope(await command(safe.uid), 404, "not_found");
        assertEnvelope(await ask(guest, "PATCH", `/api/v1/devices/${lamp.uid}`, { name: "Mine" }), 403, "forbidden");
        assert.equal((await give(lamp.id, "admin")).status, 200);
        assert.equal((await ask(guest, "PATCH", `/api/v1/devices/${lamp.uid}`, { name: "Mine" })).status, 200);
        for (const [method, below] of [
          ["DELETE", ""],
          ["POST", "/release"],
        ] as const)
          assertEnvelope(await ask(guest, method, `/api/v1/devices/${lamp.uid}${below}`), 403, "forbidden");
        const listed = (await ask(owner, "GET", "/grants")).json["data"] as object[];
        assert.deepEqual(
          listed.map((one) => ({ ...one, created_at: "" })),
          [{ user_id: guest.userId, device_id: lamp.id, role: "admin", created_at: "" }],
        );

        assert.equal((await ask(owner, "DELETE", `/grants/${guest.userId}/${lamp.id}`)).status, 204);
        assertEnvelope(await ask(owner, "DELETE", `/grants/${guest.userId}/${lamp.id}`), 404, "not_found");
        assertEnvelope(await ask(guest, "GET", "/api/v1/devices"), 403, "forbidden");

        await give(lamp.id, "operator");
        await give(safe.id, "viewer");
        const released = await ask(owner, "POST", `/api/v1/devices/${lamp.uid}/release`);
        assert.deepEqual(await seen(), [safe.uid]);
        await ask(owner, "POST", "/api/v1/devices/claim", { claim_code: field(released, "claim_code") });
        assert.deepEqual(await seen(), [safe.uid]);

        const stranger = await hub.member();
        assertEnvelope(
          await ask(owner, "POST", "/grants", { user_id: stranger.userId, device: safe.uid, role: "viewer" }),
          404,
          "not_found",
        );
        const { device } = (await ask(stranger, "POST", "/api/v1/devices", { name: "Foreign", device_class: "ir_hub" })).json as {
          device: { id: string };
        };
        assertEnvelope(await give(device.id, "viewer"), 404, "not_found");
      });
    });

    test("an invitation is for one address, once, and ends when it is withdrawn, replaced or old", async () => {
      await inPlace(async ({ hub, owner, ask }) => {
        const other = await hub.member();
        const { email } = (await hub.ask("GET", "/api/v1/auth/me", { token: other.token })).json["user"] as { email: string };
        const invite = async (address: string) => {
          const made = await ask(owner, "POST", "/invitations", { email: address, role: "viewer" });
          return { token: field(made, "token"), id: (made.json["invitation"] as { id: string }).id };
        };
        const accept = (who: { token: string }, token: string) => ask(who, "POST", "/api/v1/invitations/accept", { token });
        const register = (token: string) =>
          hub.ask("POST", "/api/v1/invitations/register", { body: { token, password: "correct horse battery" } });

        const replaced = await invite(email);
        const { token } = await invite(email);
        assertEnvelope(await accept(other, replaced.token), 404, "not_found");
        assertEnvelope(await accept(await hub.member(), token), 404, "not_found");
        assertEnvelope(await register(token), 409, "conflict");
        const pending = (await ask(owner, "GET", "/invitations")).text;
        assert.ok(pending.includes(email) && !pending.includes(token) && !pending.includes("hash"));
        const all = await codes(Array.from({ length: 5 }, () => accept(other, token)));
        assert.deepEqual(
          all.toSorted((a, b) => a - b),
          [200, 404, 404, 404, 404],
        );

        const mine = (await ask(other, "GET", "/api/v1/organizations")).json["data"] as { id: string; role: string; is_current: boolean }[];
        assert.deepEqual(
          mine.find(({ id }) => id === owner.organizationId),
          {
            ...mine.find(({ id }) => id === owner.organizationId),
            role: "viewer",
            is_current: false,
          },
        );
        const change = (who: { token: string }, id: string) => ask(who, "POST", "/api/v1/auth/organization", { organization_id: id });
        const chosen = await change(other, owner.organizationId);
        assert.deepEqual(chosen.json["permissions"], ["device.read", "member.read", "automation.read"]);
        assertEnvelope(await ask(other, "POST", "/api/v1/devices", { name: "L", device_class: "ir_hub" }), 403, "forbidden");
        assert.equal((await change(other, other.organizationId)).status, 200);
        assert.equal((await ask(other, "POST", "/api/v1/devices", { name: "L", device_class: "ir_hub" })).status, 201);
        assertEnvelope(await change(owner, other.organizationId), 404, "not_found");

        const atOnce = await Promise.all(Array.from({ length: 6 }, () => invite("twice@example.org")));
        const taken = await codes(atOnce.map((one) => register(one.token)));
        assert.deepEqual(
          taken.toSorted((a, b) => a - b),
          [201, 404, 404, 404, 404, 404],
        );

        const withdrawn = await invite("new@example.org");
        assert.equal((await ask(owner, "DELETE", `/invitations/${withdrawn.id}`)).status, 204);
        assertEnvelope(await register(withdrawn.token), 404, "not_found");
        const old = await invite("new@example.org");
        await hub.context.store.db("invitations").update({ expires_at: new Date().toISOString() });
        assertEnvelope(await register(old.token), 404, "not_found");
        const audit = JSON.stringify((await listAudit(hub.context.store.db, PLATFORM, { limit: 200 })).items);
        assert.ok(audit.includes("invitation.accept") && !audit.includes("hxi_"));
      });
    });

    test("so many invitations may wait, and another one for the same address needs no further place", async () => {
      await inPlace(async ({ hub, owner, ask }) => {
        const { db } = hub.context.store;
        const invite = (email: string) => ask(owner, "POST", "/invitations", { email, role: "viewer" });
        assert.equal((await invite("first@example.org")).status, 201);
        const [{ id: _id, ...row }] = await db("invitations");
        const others = Array.from({ length: MAX_INVITATIONS - 1 }, (_, index) => ({
          ...row,
          id: newId(),
          email: `p${index}@example.org`,
          token_hash: `hash ${index}`,
        }));
        for (let start = 0; start < others.length; start += 50) await db("invitations").insert(others.slice(start, start + 50));
        assertEnvelope(await invite("one.more@example.org"), 429, "quota_exceeded");
        assert.equal((await invite("first@example.org")).status, 201);
        await db("invitations").where({ email: "p0@example.org" }).update({ expires_at: new Date().toISOString() });
        assert.equal((await invite("one.more@example.org")).status, 201);
      });
    });

    test("an invitation is worth what whoever gave it may still give", async () => {
      await inPlace(async ({ hub, owner, ask, join }) => {
        const admin = await join("admin");
        const invite = async (role: string) =>
          field(await ask(admin, "POST", "/invitations", { email: `${newId()}@example.org`, role }), "token");
        const register = (token: string) =>
          hub.ask("POST", "/api/v1/invitations/register", { body: { token, password: "correct horse battery" } });
        const setRole = (role: string | null) => ask(owner, "PATCH", `/members/${admin.userId}`, { role });
        const [asAdmin, asViewer, later] = [await invite("admin"), await invite("viewer"), await invite("viewer")];
        assert.equal((await setRole("operator")).status, 200);
        for (const token of [asAdmin, asViewer]) assertEnvelope(await register(token), 404, "not_found");
        assert.equal((await setRole("admin")).status, 200);
        assert.equal((await register(asViewer)).status, 201);
        assert.equal((await ask(owner, "DELETE", `/members/${admin.userId}`)).status, 204);
        for (const token of [asAdmin, later]) assertEnvelope(await register(token), 404, "not_found");
      });
    });

    test("another organisation's people, grants and invitations are not to be found, nor is it", async () => {
      await inPlace(async ({ hub, owner, path, ask, join }) => {
        const [mallory, victim] = [await hub.member(), await join("viewer")];
        const missing = `/api/v1/organizations/${newId()}`;
        for (const [method, below, body] of [
          ["PATCH", "", { name: "Mine" }],
          ["GET", "/members"],
          ["PATCH", `/members/${victim.userId}`, { role: "viewer" }],
          ["DELETE", `/members/${victim.userId}`],
          ["GET", "/grants"],
          ["POST", "/grants", { user_id: victim.userId, device: newId(), role: "viewer" }],
          ["DELETE", `/grants/${victim.userId}/${newId()}`],
          ["GET", "/invitations"],
          ["POST", "/invitations", { email: "mallory@example.org", role: "owner" }],
          ["DELETE", `/invitations/${newId()}`],
        ] as const) {
          const answers = await Promise.all([path, missing].map((base) => ask(mallory, method, `${base}${below}`, body)));
          for (const answer of answers) assertEnvelope(answer, 404, "not_found");
          const [foreign, none] = answers.map(({ json }) => ({ ...json, request_id: "" }));
          assert.deepEqual(foreign, none, `${method} ${below}`);
        }
        const users = (await ask(mallory, "GET", "/api/v1/users")).text;
        assert.ok(!users.includes(victim.userId) && !users.includes(owner.organizationId));
      });
    });
  });
}
