import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { PLATFORM } from "../../core/principal.ts";
import { listAudit } from "../../store/audit.ts";
import { setPassword } from "../../store/user-changes.ts";
import { findUser } from "../../store/users.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, field, OPERATOR, startTestApi, type TestApi } from "./test-api.ts";

const PASSWORD = "correct horse battery";
const byNumber = (a: number, b: number): number => a - b;
type Person = Awaited<ReturnType<TestApi["member"]>>;

interface Place {
  readonly hub: TestApi;
  readonly ask: (who: { token: string }, method: string, path: string, body?: object) => Promise<Answered>;
  /** Somebody with a password. */
  readonly person: (role?: "admin" | "user") => Promise<Person>;
  readonly join: (owner: Person, role: string) => Promise<{ token: string; userId: string }>;
  readonly remove: (who: { token: string }, password?: string) => Promise<Answered>;
}

for (const { name, skip, open } of databases()) {
  describe(`accounts on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const ask: Place["ask"] = ({ token }, method, path, body) => hub.ask(method, `/api/v1${path}`, { token, body });
      const hash = await hub.context.passwords.hash(PASSWORD);
      await work({
        hub,
        ask,
        async person(role = "user") {
          const member = await hub.member(role);
          assert.ok(await setPassword(hub.context.store.db, member.userId, hash));
          return member;
        },
        async join(owner, role) {
          const email = `${newId()}@example.org`;
          const invited = await ask(owner, "POST", `/organizations/${owner.organizationId}/invitations`, { email, role });
          const body = { token: field(invited, "token"), password: PASSWORD };
          const made = await hub.ask("POST", "/api/v1/invitations/register", { body });
          assert.equal(made.status, 201, made.text);
          return { token: field(made, "access_token"), userId: (made.json["user"] as { id: string }).id };
        },
        remove: (who, password = PASSWORD) => ask(who, "DELETE", "/auth/me", { password }),
      });
    }

    test("a person has a name, or none", async () => {
      await inPlace(async ({ ask, person }) => {
        const ada = await person();
        const nameOf = (answer: Answered) => (answer.json["user"] as { name: string | null }).name;
        assert.equal(nameOf(await ask(ada, "PATCH", "/auth/me", { name: "Ada" })), "Ada");
        assert.equal(nameOf(await ask(ada, "GET", "/auth/me")), "Ada");
        assert.equal(nameOf(await ask(ada, "PATCH", "/auth/me", { name: null })), null);
        for (const body of [{}, { name: "" }, { name: "a\nb" }, { name: 5 }, { name: "x".repeat(121) }])
          assertEnvelope(await ask(ada, "PATCH", "/auth/me", body), 400, "validation_error");
        assertEnvelope(await ask({ token: OPERATOR }, "PATCH", "/auth/me", { name: "Root" }), 403, "forbidden");
      });
    });

    test("who changes a person says from which version, if they like", async () => {
      await inPlace(async ({ hub, ask, person }) => {
        const [admin, ada] = [await person("admin"), await person()];
        const change = (who: Person, path: string, body: object, tag: string) =>
          hub.ask("PATCH", `/api/v1${path}`, { token: who.token, body, headers: { "if-match": tag } });
        const tagOf = (answer: Answered) => answer.headers.get("etag") ?? "none";
        const old = tagOf(await ask(ada, "GET", "/auth/me"));
        const renamed = await change(ada, "/auth/me", { name: "Ada" }, old);
        assert.equal(renamed.status, 200, renamed.text);
        assertEnvelope(await change(ada, "/auth/me", { name: "Eve" }, old), 412, "precondition_failed");
        assertEnvelope(await change(ada, "/auth/me", { name: "Eve" }, `W/${tagOf(renamed)}`), 412, "precondition_failed");
        const path = `/users/${ada.userId}`;
        assertEnvelope(await change(admin, path, { is_active: false }, old), 412, "precondition_failed");
        assert.ok(!hub.disconnected.includes(ada.userId));
        // Whoever sees the person, and wherever, sees the same version.
        for (const who of [admin, ada]) {
          const seen = await ask(who, "GET", path);
          assert.equal((seen.json["user"] as { name: string }).name, "Ada");
          assert.equal(tagOf(seen).split(".")[0], tagOf(renamed).replace(/"$/, ""));
        }
        const off = await change(admin, path, { is_active: false }, tagOf(await ask(admin, "GET", path)));
        assert.equal(off.status, 200, off.text);
        assert.equal((await change(admin, path, { is_active: true }, tagOf(off))).status, 200);
        assertEnvelope(await ask(await person(), "GET", path), 404, "not_found");
        const grace = await person();
        const first = tagOf(await ask(grace, "GET", "/auth/me"));
        const answers = await Promise.all(["One", "Two", "Three"].map((one) => change(grace, "/auth/me", { name: one }, first)));
        assert.deepEqual(answers.map(({ status }) => status).toSorted(byNumber), [200, 412, 412]);
      });
    });

    test("lists of people come in pages", async () => {
      await inPlace(async ({ hub, ask, person, join }) => {
        const [admin, owner] = [await person("admin"), await person()];
        for (let count = 0; count < 4; count++) await join(owner, "viewer");
        const members = `/organizations/${owner.organizationId}/members`;
        for (const [who, path, key, total] of [
          [owner, members, "user_id", 5],
          [owner, "/users", "id", 5],
          [admin, "/users", "id", 6],
        ] as const) {
          const whole = await ask(who, "GET", path);
          assert.deepEqual(
            [(whole.json["data"] as object[]).length, whole.json["next_cursor"], whole.headers.get("link")],
            [total, null, null],
          );
          const seen: unknown[] = [];
          let next: string | undefined = `/api/v1${path}?limit=2`;
          while (next !== undefined) {
            const page: Answered = await hub.ask("GET", next, { token: who.token });
            const data = page.json["data"] as Record<string, string>[];
            assert.ok(page.status === 200 && data.length > 0 && data.length <= 2, page.text);
            seen.push(...data.map((one) => one[key]));
            next = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
            assert.equal(next === undefined, page.json["next_cursor"] === null);
          }
          assert.deepEqual(
            seen,
            (whole.json["data"] as Record<string, string>[]).map((one) => one[key]),
          );
          assertEnvelope(await ask(who, "GET", `${path}?limit=201`), 400, "validation_error");
          assert.deepEqual((await ask(who, "GET", `${path}?cursor=zzz`)).json, { data: [], next_cursor: null });
        }
      });
    });

    test("who goes takes along what is theirs alone", async () => {
      await inPlace(async ({ hub, ask, person, join, remove }) => {
        await hub.member();
        const [ada, owner] = [await person(), await person()];
        const grace = await join(owner, "owner");
        const made = await ask(ada, "POST", "/access-tokens", { kind: "personal", name: "laptop" });
        assertEnvelope(await remove(ada, "wrong password"), 403, "forbidden");
        assert.equal((await remove(ada)).status, 204);
        for (const token of [ada.token, field(made, "token")]) assertEnvelope(await ask({ token }, "GET", "/auth/me"), 401, "unauthorized");
        assert.ok(hub.disconnected.includes(ada.userId));
        const { db } = hub.context.store;
        assert.equal(await findUser(db, ada.userId), undefined);
        for (const [table, column] of [
          ["entities", "id"],
          ["logins", "user_id"],
          ["memberships", "user_id"],
          ["access_tokens", "user_id"],
        ] as const)
          assert.deepEqual(await db(table).where({ [column]: ada.userId }), [], table);
        assert.deepEqual(await db("entities").where({ id: ada.organizationId }), [], "nobody is in there any more");
        const { items } = await listAudit(db, PLATFORM, { limit: 50 });
        assert.ok(items.some(({ action, resourceId }) => action === "user.remove" && resourceId === ada.userId));

        // One of two owners may go, and the organisation stays.
        assert.equal((await remove(owner)).status, 204);
        assert.equal((await db("organizations").where({ id: owner.organizationId })).length, 1);
        assert.equal((await ask(grace, "GET", `/organizations/${owner.organizationId}/members`)).status, 200);
      });
    });

    test("the only owner of what is in use does not go: other people, devices, places, projects, machines", async () => {
      await inPlace(async ({ hub, ask, person, join, remove }) => {
        await hub.member();
        const [ofPeople, ofDevices, ofMachines, ofPlaces, ofProjects] = [
          await person(),
          await person(),
          await person(),
          await person(),
          await person(),
        ];
        const all = [ofPeople, ofDevices, ofMachines, ofPlaces, ofProjects];
        const site = await ask(ofPlaces, "POST", "/sites", { name: "Villa", time_zone: "UTC" });
        const project = await ask(ofProjects, "POST", "/projects", { name: "Garden" });
        const viewer = await join(ofPeople, "viewer");
        const device = await ask(ofDevices, "POST", "/devices", { name: "Lamp", device_class: "ir_hub" });
        const machine = await ask(ofMachines, "POST", "/access-tokens", { kind: "service", name: `s-${newId()}` });
        for (const owner of all) {
          assertEnvelope(await remove(owner), 409, "conflict");
          assert.equal((await ask(owner, "GET", "/auth/me")).status, 200);
        }
        assert.equal((await remove(viewer)).status, 204);
        const { id } = device.json["device"] as { id: string };
        assert.equal((await ask(ofDevices, "DELETE", `/devices/${id}`)).status, 204);
        assert.equal((await ask(ofMachines, "DELETE", `/access-tokens/${field(machine, "id")}`)).status, 204);
        const madeId = ({ json }: Answered, what: string) => (json[what] as { id: string }).id;
        assert.equal((await ask(ofPlaces, "DELETE", `/sites/${madeId(site, "site")}`)).status, 204);
        assert.equal((await ask(ofProjects, "DELETE", `/projects/${madeId(project, "project")}`)).status, 204);
        for (const owner of all) assert.equal((await remove(owner)).status, 204);
        const { db } = hub.context.store;
        for (const { organizationId } of all) assert.deepEqual(await db("organizations").where({ id: organizationId }), []);
      });
    });

    test("of the last two owners that go at once one stays", async () => {
      await inPlace(async ({ hub, person, join, remove }) => {
        await hub.member();
        for (let round = 0; round < 3; round++) {
          const owner = await person();
          const other = await join(owner, "owner");
          await join(owner, "viewer");
          const answers = await Promise.all([remove(owner), remove(other)]);
          assert.deepEqual(answers.map(({ status }) => status).toSorted(byNumber), [204, 409], answers.map(({ text }) => text).join());
        }
      });
    });

    test("an administrator of the hub lets nobody in any more, and back in; sessions and tokens stop at once", async () => {
      await inPlace(async ({ hub, ask, person }) => {
        const [admin, ada] = [await person("admin"), await person()];
        const made = await ask(ada, "POST", "/access-tokens", { kind: "personal", name: "laptop" });
        const set = (who: { token: string }, body: object, id = ada.userId) => ask(who, "PATCH", `/users/${id}`, body);
        assertEnvelope(await set(ada, { is_active: true }), 403, "forbidden");
        for (const body of [{}, { is_active: null }, { role: "owner" }, { name: "x" }])
          assertEnvelope(await set(admin, body), 400, "validation_error");
        assertEnvelope(await set(admin, { is_active: false }, newId()), 404, "not_found");

        const off = await set(admin, { is_active: false }, ada.userId.toUpperCase());
        assert.equal((off.json["user"] as { is_active: boolean }).is_active, false, off.text);
        assert.ok(hub.disconnected.includes(ada.userId));
        for (const token of [ada.token, field(made, "token")]) assertEnvelope(await ask({ token }, "GET", "/auth/me"), 401, "unauthorized");
        const { email } = (await findUser(hub.context.store.db, ada.userId)) as { email: string };
        const login = () => hub.ask("POST", "/api/v1/auth/login", { body: { email, password: PASSWORD } });
        assertEnvelope(await login(), 401, "unauthorized");

        assert.equal((await set({ token: OPERATOR }, { is_active: true })).status, 200);
        assert.equal((await login()).status, 200);
        assertEnvelope(await ask(ada, "GET", "/auth/me"), 401, "unauthorized");
        assert.equal((await ask({ token: field(made, "token") }, "GET", "/auth/me")).status, 200, "tokens of scripts go on");
        const { items } = await listAudit(hub.context.store.db, PLATFORM, { limit: 50 });
        const entries = items.filter(({ action, resourceId }) => action === "user.update" && resourceId === ada.userId);
        assert.deepEqual(entries.map(({ details }) => String(details["is_active"])).toSorted(), ["false", "true"]);
      });
    });

    test("another role holds at once, and ends the sessions that began with the old one", async () => {
      await inPlace(async ({ hub, ask, person }) => {
        const [admin, ada] = [await person("admin"), await person()];
        const users = async () => (await ask(ada, "POST", "/organizations", { name: "Another" })).status;
        assert.equal(await users(), 403);
        assert.equal((await ask(admin, "PATCH", `/users/${ada.userId}`, { role: "admin" })).status, 200);
        assert.equal(await users(), 201);
        assert.equal(hub.disconnected.filter((id) => id === ada.userId).length, 1);
        assert.equal((await ask(admin, "PATCH", `/users/${ada.userId}`, { role: "admin" })).status, 200);
        assert.equal(hub.disconnected.filter((id) => id === ada.userId).length, 1, "nothing changed");
        assert.equal((await ask(ada, "PATCH", `/users/${admin.userId}`, { role: "user" })).status, 200);
        assertEnvelope(await ask(admin, "PATCH", `/users/${ada.userId}`, { role: "user" }), 403, "forbidden");
      });
    });

    test("the hub keeps an active administrator, also of two that step down at once, each in another way", async () => {
      await inPlace(async ({ hub, ask, person, remove }) => {
        await hub.member();
        const only = await person("admin");
        for (const body of [{ is_active: false }, { role: "user" }])
          assertEnvelope(await ask(only, "PATCH", `/users/${only.userId}`, body), 409, "conflict");
        assertEnvelope(await remove(only), 409, "conflict");
        const ways: ((who: Person) => Promise<Answered>)[] = [
          (who) => ask(who, "PATCH", `/users/${who.userId}`, { is_active: false }),
          (who) => ask(who, "PATCH", `/users/${who.userId}`, { role: "user" }),
          (who) => remove(who),
        ];
        let [last] = [only];
        for (const [index, way] of ways.entries()) {
          const other = await person("admin");
          const otherWay = ways[(index + 1) % ways.length] as (typeof ways)[number];
          const [one, two] = await Promise.all([way(last), otherWay(other)]);
          assert.deepEqual([one, two].filter(({ status }) => status === 409).length, 1, `${one.text} ${two.text}`);
          if (one.status !== 409) last = other;
        }
        const active = await hub.context.store.db("users").where({ role: "admin", is_active: true });
        assert.deepEqual(
          active.map(({ id }: { id: string }) => id),
          [last.userId],
        );
      });
    });
  });
}
