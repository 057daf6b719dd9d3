import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Role } from "../../core/permissions.ts";
import { listAudit } from "../../store/audit.ts";
import { reencryptAll } from "../../store/encryption-rotation.ts";
import { databases } from "../support/databases.ts";
import { type Answered, assertEnvelope, field, OPERATOR, startTestApi, statusesOf, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/contacts";
const PHONE = "+49301234567";
const EMAIL = "caretaker@example.org";

interface Place {
  readonly hub: TestApi;
  readonly owner: Awaited<ReturnType<TestApi["member"]>>;
  readonly ask: (method: string, below: string, body?: object, headers?: Record<string, string>) => Promise<Answered>;
  /** The owner acts with this role from now on. */
  readonly become: (role: Role | null) => Promise<void>;
  readonly audited: (action: string) => Promise<{ resourceId: string | null; actor: { id: string }; details: unknown }[]>;
}
interface Contact {
  readonly id: string;
  readonly name: string;
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly unreadable?: boolean;
}
const contactOf = ({ json }: Answered): Contact => json["contact"] as Contact;
const listOf = ({ json }: Answered): Contact[] => json["data"] as Contact[];
const tagOf = ({ headers }: Answered): string => headers.get("etag") ?? "none";

for (const { name, skip, open } of databases())
  describe(`contacts on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const owner = await hub.member();
      const { db } = hub.context.store;
      const { organizationId } = owner;
      await work({
        hub,
        owner,
        ask: (method, below, body, headers = {}) =>
          hub.ask(method, `${PATH}${below}`, { token: owner.token, headers, ...(body === undefined ? {} : { body }) }),
        async become(role) {
          await db("memberships").where({ user_id: owner.userId }).update({ role });
          await hub.context.access.changed([owner.userId]);
        },
        audited: async (action) => (await listAudit(db, { kind: "organization", organizationId }, { limit: 100, action })).items,
      });
    }

    test("are made, shown, changed and removed", async () => {
      await inPlace(async ({ ask }) => {
        const made = await ask("POST", "", { name: "Caretaker", phone: PHONE, email: EMAIL });
        assert.equal(made.status, 201, made.text);
        const { id } = contactOf(made);
        const shown = await ask("GET", `/${id}`);
        assert.deepEqual(contactOf(shown), contactOf(made));
        assert.deepEqual([contactOf(shown).phone, contactOf(shown).email], [PHONE, EMAIL]);
        const changed = await ask("PATCH", `/${id}`, { name: "Janitor", email: null }, { "if-match": tagOf(shown) });
        assert.equal(changed.status, 200, changed.text);
        assert.deepEqual([contactOf(changed).name, contactOf(changed).phone, contactOf(changed).email], ["Janitor", PHONE, null]);
        assertEnvelope(await ask("PATCH", `/${id}`, { name: "Other" }, { "if-match": tagOf(shown) }), 412, "precondition_failed");
        const both = await Promise.all(
          ["+4930111111", "+4930222222"].map((phone) => ask("PATCH", `/${id}`, { phone }, { "if-match": tagOf(changed) })),
        );
        assert.deepEqual(statusesOf(both), [200, 412]);
        assertEnvelope(await ask("DELETE", `/${id}`, undefined, { "if-match": tagOf(changed) }), 412, "precondition_failed");
        assert.equal((await ask("DELETE", `/${id}`)).status, 204);
        assertEnvelope(await ask("GET", `/${id}`), 404, "not_found");
        assert.deepEqual(contactOf(await ask("POST", "", { name: "Nobody" })).phone, null);
      });
    });

    test("of two changes of different things at once both hold", async () => {
      await inPlace(async ({ ask }) => {
        const { id } = contactOf(await ask("POST", "", { name: "Caretaker", phone: PHONE, email: EMAIL }));
        const patches = [{ name: "Janitor" }, { phone: "+4930222222" }, { email: "janitor@example.org" }];
        for (const { status, text } of await Promise.all(patches.map((patch) => ask("PATCH", `/${id}`, patch))))
          assert.equal(status, 200, text);
        const { name: now, phone, email } = contactOf(await ask("GET", `/${id}`));
        assert.deepEqual([now, phone, email], ["Janitor", "+4930222222", "janitor@example.org"]);
      });
    });

    test("phone and e-mail are for administrators and owners, names for everybody with a role", async () => {
      await inPlace(async ({ hub, ask, become }) => {
        const { id } = contactOf(await ask("POST", "", { name: "Caretaker", phone: PHONE, email: EMAIL }));
        for (const role of ["viewer", "operator"] as const) {
          await become(role);
          const shown = await ask("GET", `/${id}`);
          assert.deepEqual(Object.keys(contactOf(shown)).toSorted(), ["created_at", "id", "name", "updated_at"]);
          for (const { status, text } of [shown, await ask("GET", ""), await ask("GET", "?search=caretaker")])
            assert.ok(status === 200 && text.includes("Caretaker") && !text.includes(PHONE) && !text.includes(EMAIL), text);
          for (const [method, below, body] of [
            ["POST", "", { name: "x" }],
            ["PATCH", `/${id}`, { name: "x" }],
            ["DELETE", `/${id}`],
          ] as const)
            assertEnvelope(await ask(method, below, body), 403, "forbidden");
        }
        await become(null);
        assertEnvelope(await ask("GET", ""), 403, "forbidden");
        for (const role of ["admin", "owner"] as const) {
          await become(role);
          assert.equal(contactOf(await ask("GET", `/${id}`)).phone, PHONE);
          assert.equal((await ask("PATCH", `/${id}`, { name: `By ${role}` })).status, 200);
        }
        const service = await hub.ask("POST", "/api/v1/access-tokens", { token: OPERATOR, body: { kind: "service", name: "machine" } });
        const { status, text } = await hub.ask("GET", PATH, { token: field(service, "token") });
        assert.ok(status === 200 && !text.includes(PHONE));
        assertEnvelope(await hub.ask("POST", PATH, { token: field(service, "token"), body: { name: "x" } }), 403, "forbidden");
      });
    });

    test("who has read what stands in the audit, and nothing of what it was", async () => {
      await inPlace(async ({ hub, owner, ask, become, audited }) => {
        const ids: string[] = [];
        for (const one of ["a", "b", "c"]) ids.push(contactOf(await ask("POST", "", { name: one, phone: PHONE, email: EMAIL })).id);
        await ask("POST", "", { name: "without" });
        await ask("GET", `/${ids[0]}`);
        await ask("GET", "?limit=3");
        await ask("GET", "");
        await ask("PATCH", `/${ids[1]}`, { email: "new@example.org" });
        await ask("GET", "?search=without");
        await become("viewer");
        await ask("GET", "");
        await ask("GET", `/${ids[2]}`);
        const read = await audited("contact.read");
        assert.deepEqual(
          read.map(({ resourceId, actor }) => [resourceId, actor.id]),
          [
            [ids[1], owner.userId],
            [ids[0], owner.userId],
          ],
        );
        assert.deepEqual(
          (await audited("contact.list")).map(({ details }) => details),
          [{ read: 3 }, { read: 3 }],
        );
        assert.deepEqual((await audited("contact.update"))[0]?.details, { changed: ["email"] });
        assert.equal((await audited("contact.create")).length, 4);
        const everything = JSON.stringify(await hub.context.store.db("audit_outbox")) + JSON.stringify(hub.logged);
        for (const secret of [PHONE, PHONE.slice(1), EMAIL, "new@example.org"]) assert.ok(!everything.includes(secret));
      });
    });

    test("are found by part of their name, whatever its case, page by page", async () => {
      await inPlace(async ({ hub, ask }) => {
        const names = ["Ärztin", "ÄRZTE %", "Hausmeister", "ärzte_nord", "Zahnarzt", "Tierärztin"];
        for (const one of names) await ask("POST", "", { name: one });
        const found = async (search: string) => listOf(await ask("GET", `?search=${encodeURIComponent(search)}`)).map((one) => one.name);
        assert.deepEqual(await found("ärzt"), ["Ärztin", "ÄRZTE %", "ärzte_nord", "Tierärztin"]);
        assert.deepEqual(await found("E_"), ["ärzte_nord"]);
        assert.deepEqual(await found("%"), ["ÄRZTE %"]);
        assert.deepEqual(await found("nobody"), []);
        const seen: string[] = [];
        for (let cursor: string | null = ""; cursor !== null; ) {
          const page = await ask("GET", `?limit=4${cursor === "" ? "" : `&cursor=${cursor}`}`);
          seen.push(...listOf(page).map((one) => one.name));
          cursor = page.json["next_cursor"] as string | null;
        }
        assert.deepEqual(seen, names);
        const stranger = await hub.member();
        assert.deepEqual(listOf(await hub.ask("GET", PATH, { token: stranger.token })), []);
      });
    });

    test("what is no phone number, no address, no name, or nothing at all is refused, and another organisation's is not to be found", async () => {
      await inPlace(async ({ hub, ask }) => {
        const { id } = contactOf(await ask("POST", "", { name: "Caretaker", phone: PHONE, email: EMAIL }));
        for (const bad of [
          { phone: "030 1234567" },
          { phone: "+0301234567" },
          { phone: "+49" },
          { phone: `+${"1".repeat(16)}` },
          { phone: "" },
          { email: "caretaker" },
          { email: `${"x".repeat(65)}@example.org` },
          { name: "" },
          { name: "a\nb" },
          { name: null },
          { note: "x" },
        ]) {
          assertEnvelope(await ask("POST", "", { name: "x", ...bad }), 400, "validation_error");
          assertEnvelope(await ask("PATCH", `/${id}`, bad), 400, "validation_error");
        }
        assertEnvelope(await ask("PATCH", `/${id}`, {}), 400, "validation_error");
        const stranger = await hub.member();
        for (const [method, body] of [["GET"], ["PATCH", { name: "Mine" }], ["DELETE"]] as const)
          assertEnvelope(await hub.ask(method, `${PATH}/${id}`, { token: stranger.token, ...(body ? { body } : {}) }), 404, "not_found");
        assert.equal(contactOf(await ask("GET", `/${id}`)).name, "Caretaker");
      });
    });

    test("one whose ciphertext was changed, or taken from another, is shown as unreadable, and can be put right", async () => {
      await inPlace(async ({ hub, ask }) => {
        const { db } = hub.context.store;
        const [one, other] = [
          contactOf(await ask("POST", "", { name: "one", phone: PHONE, email: EMAIL })),
          contactOf(await ask("POST", "", { name: "other", phone: "+4930222222", email: EMAIL })),
        ];
        const stolen = (await db("contacts").where({ id: other.id }).first("phone_encrypted")) as { phone_encrypted: string };
        await db("contacts").where({ id: one.id }).update(stolen);
        const shown = contactOf(await ask("GET", `/${one.id}`));
        assert.deepEqual([shown.phone, shown.email, shown.unreadable], [null, EMAIL, true]);
        assert.deepEqual(
          listOf(await ask("GET", "")).map(({ phone, unreadable }) => [phone, unreadable]),
          [
            [null, true],
            ["+4930222222", undefined],
          ],
        );
        assert.ok(hub.logged.some(({ level, data }) => level === "error" && data["contact_id"] === one.id));
        assert.equal(contactOf(await ask("PATCH", `/${one.id}`, { name: "still" })).unreadable, true);
        const mended = contactOf(await ask("PATCH", `/${one.id}`, { phone: PHONE }));
        assert.deepEqual([mended.phone, mended.unreadable], [PHONE, undefined]);
      });
    });

    test("a change of the key is begun once, shows how far it is, and is no change of a contact", async () => {
      await inPlace(async ({ hub, ask }) => {
        const encryption = (method: string, path = "") => hub.ask(method, `/api/v1/encryption${path}`, { token: OPERATOR });
        const none = (await encryption("GET")).json;
        assert.deepEqual(none, { state: "idle", key_id: null, key_created_at: null, total: 0, done: 0, unreadable: 0 });
        const { id } = contactOf(await ask("POST", "", { name: "one", phone: PHONE, email: EMAIL }));
        const before = await ask("GET", `/${id}`);
        const first = (await encryption("GET")).json;
        assert.deepEqual([first["total"], first["done"]], [2, 2]);
        const begun = await Promise.all([encryption("POST", "/rotate"), encryption("POST", "/rotate")]);
        assert.deepEqual(statusesOf(begun), [202, 409]);
        const rotating = (await encryption("GET")).json;
        assert.deepEqual([rotating["state"], rotating["total"], rotating["done"]], ["rotating", 2, 0]);
        assert.notEqual(rotating["key_id"], first["key_id"]);
        assert.deepEqual(
          hub.published.map(({ topic }) => topic),
          ["$hub/encryption"],
        );
        assert.equal(contactOf(await ask("GET", `/${id}`)).phone, PHONE);
        const { store, encryption: keys, log } = hub.context;
        await reencryptAll({ db: store.db, encryption: keys, log }, new AbortController().signal);
        assert.equal((await encryption("GET")).json["state"], "idle");
        const after = await ask("GET", `/${id}`);
        assert.equal(tagOf(after), tagOf(before));
        assert.equal((await ask("PATCH", `/${id}`, { name: "two" }, { "if-match": tagOf(before) })).status, 200);
        assertEnvelope(await hub.ask("POST", "/api/v1/encryption/rotate", { token: (await hub.member()).token }), 403, "forbidden");
      });
    });
  });
