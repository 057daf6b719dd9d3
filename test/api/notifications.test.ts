import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NewNotification } from "../../core/notification.ts";
import { addMember, removeMember } from "../../store/members.ts";
import { endLogin } from "../../store/logins.ts";
import { addPerson, type NotifyScene, openNotifyScene, wanted } from "../rules/notify-scene.ts";
import { databases } from "../support/databases.ts";
import { assertEnvelope, field, OPERATOR, startTestApi, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/notifications";

interface Scene {
  readonly hub: TestApi;
  readonly scene: NotifyScene;
  readonly ann: Awaited<ReturnType<TestApi["member"]>>;
  readonly tell: (title: string, more?: Partial<NewNotification>) => Promise<void>;
  readonly ask: (method: string, path?: string, body?: unknown) => ReturnType<TestApi["ask"]>;
}

for (const { name, skip, open } of databases())
  describe(`notifications on ${name}`, { skip }, () => {
    const withHub = (work: (scene: Scene) => Promise<void>) => async (): Promise<void> => {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      await using scene = await openNotifyScene(hub.context.store.db, hub.context);
      const ann = await hub.member();
      await work({
        hub,
        scene,
        ann,
        tell: (title, more) => scene.notify(wanted(ann.organizationId, { title, ...more })),
        ask: (method, path = "", body) => hub.ask(method, PATH + path, { token: ann.token, body }),
      });
      assert.deepEqual(scene.errors, []);
    };
    const titlesOf = ({ json }: Awaited<ReturnType<TestApi["ask"]>>): string[] =>
      (json["data"] as { title: string }[]).map(({ title }) => title);

    test(
      "are listed in pages, the last first, filtered, counted, read and removed",
      withHub(async ({ hub, ann, tell, ask }) => {
        for (const title of ["1", "2", "3", "4", "5"])
          await tell(title, { severity: title === "3" ? "critical" : "info", data: { title } });
        const first = await ask("GET", "?limit=2");
        assert.deepEqual(titlesOf(first), ["5", "4"]);
        const second = await ask("GET", `?limit=2&cursor=${field(first, "next_cursor")}`);
        assert.deepEqual(titlesOf(second), ["3", "2"]);
        const last = await ask("GET", `?limit=2&cursor=${field(second, "next_cursor")}`);
        assert.deepEqual([titlesOf(last), last.json["next_cursor"]], [["1"], null]);
        const [three] = second.json["data"] as { id: string; seq: number; severity: string; data: object; count: number; read_at: null }[];
        assert.ok(three);
        assert.deepEqual([three.seq, three.severity, three.data, three.count, three.read_at], [3, "critical", { title: "3" }, 1, null]);
        assert.deepEqual(titlesOf(await ask("GET", "?severity=critical")), ["3"]);

        const marked = await ask("POST", `/${three.id}/read`);
        const readAt = (marked.json["notification"] as { read_at: string }).read_at;
        assert.ok(Date.parse(readAt) > Date.now() - 60_000, marked.text);
        const again = await ask("POST", `/${three.id.toUpperCase()}/read`);
        assert.equal((again.json["notification"] as { read_at: string }).read_at, readAt);
        assert.deepEqual(titlesOf(await ask("GET", "?unread=true")), ["5", "4", "2", "1"]);
        assert.deepEqual(titlesOf(await ask("GET", "?unread=false")), ["3"]);
        assert.deepEqual((await ask("GET", "/unread-count")).json, { unread: 4 });
        assert.deepEqual((await ask("POST", "/read-all", { up_to: 4 })).json, { read: 3 });
        assert.deepEqual((await ask("GET", "/unread-count")).json, { unread: 1 });
        assert.equal((await ask("DELETE", `/${three.id}`)).status, 204);
        assertEnvelope(await ask("DELETE", `/${three.id}`), 404, "not_found");
        assertEnvelope(await ask("POST", `/${three.id}/read`), 404, "not_found");
        assert.deepEqual(titlesOf(await ask("GET")), ["5", "4", "2", "1"]);
        for (const query of ["?cursor=none", "?cursor=99999999999999999", "?cursor=-1", "?limit=0", "?severity=grave", "?unread=maybe"])
          assertEnvelope(await ask("GET", query), 400, "validation_error");
        for (const body of [{}, { up_to: -1 }, { up_to: 1.5 }, { up_to: 2 ** 53 }])
          assertEnvelope(await ask("POST", "/read-all", body), 400, "validation_error");
        const audited = (await hub.context.store.db("audit_outbox").where({ organization_id: ann.organizationId }).orderBy("id")) as {
          action: string;
        }[];
        assert.deepEqual(
          audited.map(({ action }) => action).filter((action) => action.startsWith("notification.")),
          ["notification.read", "notification.read", "notification.read_all", "notification.delete"],
        );
      }),
    );

    test(
      "are a person's own in each organisation: no colleague, stranger, machine or limited token has them",
      withHub(async ({ hub, ann, tell, ask }) => {
        const { db } = hub.context.store;
        const stranger = await hub.member();
        const colleague = await hub.member("user", "viewer");
        await addMember(db, ann.organizationId, colleague.userId, "viewer");
        await tell("for all");
        const [one] = (await ask("GET")).json["data"] as { id: string }[];
        assert.ok(one);
        // The colleague was told too, and acts elsewhere.
        for (const { token } of [stranger, colleague]) {
          assert.deepEqual(titlesOf(await hub.ask("GET", PATH, { token })), []);
          assertEnvelope(await hub.ask("POST", `${PATH}/${one.id}/read`, { token }), 404, "not_found");
          assertEnvelope(await hub.ask("DELETE", `${PATH}/${one.id}`, { token }), 404, "not_found");
          assert.deepEqual((await hub.ask("POST", `${PATH}/read-all`, { token, body: { up_to: 9 } })).json, { read: 0 });
        }
        assert.deepEqual((await ask("GET", "/unread-count")).json, { unread: 1 });
        const made = async (body: object) => field(await hub.ask("POST", "/api/v1/access-tokens", { token: ann.token, body }), "token");
        const limited = await made({ kind: "personal", name: "l", permissions: ["automation.read"] });
        const service = await made({ kind: "service", name: `s-${ann.userId}` });
        for (const token of [limited, service, OPERATOR])
          for (const path of ["", "/stream", "/unread-count"])
            assertEnvelope(await hub.ask("GET", PATH + path, { token }), 403, "forbidden");
        const whole = await made({ kind: "personal", name: "w" });
        assert.deepEqual(titlesOf(await hub.ask("GET", PATH, { token: whole })), ["for all"]);
      }),
    );

    test(
      "are told to nobody whose membership ended in the same moment, and read by whoever is there in theirs",
      withHub(async ({ hub, ann, tell, scene }) => {
        const { db } = hub.context.store;
        const people = await Promise.all(Array.from({ length: 8 }, () => addPerson(db, ann.organizationId, "viewer")));
        const leaving = people.slice(0, 4).map(({ id }) => removeMember(db, ann.organizationId, id, Date.now()));
        await Promise.all([...leaving, ...["a", "b", "c"].map((title) => tell(title, { groupKey: "g" }))]);
        const left = (await db("notifications").where({ organization_id: ann.organizationId })) as {
          user_id: string;
          occurrences: number;
        }[];
        const expected = [ann.userId, ...people.slice(4).map(({ id }) => id)].toSorted();
        assert.deepEqual(left.map(({ user_id }) => user_id).toSorted(), expected);
        assert.ok(left.every(({ occurrences }) => occurrences === 3));
        assert.deepEqual(scene.errors, []);
      }),
    );

    test(
      "settings of theirs are checked where they are changed, and stay what they were before there was a schema",
      withHub(async ({ hub, ann }) => {
        const { db } = hub.context.store;
        const patch = (settings: unknown) =>
          hub.ask("PATCH", "/api/v1/preferences", { token: ann.token, body: { notification_settings: settings } });
        const old = { quiet_hours: "at night", channels: { info: true }, sound: "bell" };
        const content = JSON.stringify({ notification_settings: old });
        const row = { user_id: ann.userId, organization_id: ann.organizationId, content, updated_at: new Date().toISOString() };
        await db("user_preferences").insert(row);
        const louder = await patch({ sound: "gong" });
        assert.deepEqual(louder.json["notification_settings"], { ...old, sound: "gong" }, louder.text);
        const refused = await patch({ quiet_hours: { from: "22:00" } });
        assertEnvelope(refused, 400, "validation_error");
        assert.match(refused.text, /\/notification_settings\/quiet_hours/);
        const hours = { from: "22:00", to: "06:00", time_zone: "Europe/Zurich" };
        assert.equal((await patch({ quiet_hours: hours })).status, 200);
        const later = await patch({ quiet_hours: { to: "07:00" }, channels: null });
        assert.deepEqual(later.json["notification_settings"], { quiet_hours: { ...hours, to: "07:00" }, sound: "gong" });
        assertEnvelope(await patch({ quiet_hours: { to: "22:00" } }), 400, "validation_error");
      }),
    );

    test(
      "of a login that has ended are nobody's to read",
      withHub(async ({ hub, ann, ask }) => {
        const { db } = hub.context.store;
        const [login] = (await db("logins").where({ user_id: ann.userId }).select("id")) as { id: string }[];
        await endLogin(db, login?.id ?? "", Date.now());
        for (const path of ["", "/stream", "/unread-count"]) assertEnvelope(await ask("GET", path), 401, "unauthorized");
      }),
    );
  });
