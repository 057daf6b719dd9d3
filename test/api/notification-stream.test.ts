import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import type { NewNotification } from "../../core/notification.ts";
import { MOST_OF_ONE, type StreamPace } from "../../api/notifications/readers.ts";
import { endLogin, setLoginOrganization } from "../../store/logins.ts";
import { removeMember } from "../../store/members.ts";
import { inTransaction } from "../../store/transaction.ts";
import { changeUser } from "../../store/user-changes.ts";
import { addPerson, joinOrganization, openNotifyScene, wanted } from "../rules/notify-scene.ts";
import { databases } from "../support/databases.ts";
import { type EventReader, readEvents } from "../support/event-reader.ts";
import { until } from "../support/wait.ts";
import { assertEnvelope, field, startTestApi, type TestApi } from "./test-api.ts";

const PATH = "/api/v1/notifications/stream";

interface Scene {
  readonly hub: TestApi;
  readonly ann: Awaited<ReturnType<TestApi["member"]>>;
  readonly tell: (title: string, more?: Partial<NewNotification>) => Promise<void>;
  readonly notifyAll: (all: readonly Partial<NewNotification>[]) => Promise<void>;
  readonly read: (query?: string, headers?: Record<string, string>) => Promise<EventReader>;
}

for (const { name, skip, open } of databases())
  describe(`the stream of notifications on ${name}`, { skip }, () => {
    const withHub =
      (work: (scene: Scene) => Promise<void>, streamPace: Partial<StreamPace> = {}) =>
      async (): Promise<void> => {
        await using database = await open();
        await using hub = await startTestApi({ streamPace }, database.url);
        const { db } = hub.context.store;
        await using scene = await openNotifyScene(db, hub.context);
        const ann = await hub.member();
        await work({
          hub,
          ann,
          tell: (title, more) => scene.notify(wanted(ann.organizationId, { title, ...more })),
          notifyAll: (all) =>
            inTransaction(db, async (trx) => {
              for (const more of all) await scene.notifier.notify(trx, wanted(ann.organizationId, more));
            }),
          read: (query = "", headers = {}) => readEvents(hub.api.url + PATH + query, { authorization: `Bearer ${ann.token}`, ...headers }),
        });
        assert.deepEqual(scene.errors, []);
      };

    test(
      "says what is unread, then tells what comes, and goes on behind the last that was seen",
      withHub(async ({ ann, tell, read, hub }) => {
        await tell("before", { groupKey: "g" });
        await using first = await read();
        assert.deepEqual([first.status, first.headers.get("content-type")], [200, "text/event-stream; charset=utf-8"]);
        assert.equal(first.headers.get("cache-control"), "no-store");
        const ready = await until(() => first.events[0], { what: "the first event" });
        assert.deepEqual(ready, { id: "1", type: "ready", data: { unread: 1 } });
        const from = performance.now();
        await tell("one");
        await first.titles(1);
        assert.ok(performance.now() - from < 2_000, "at once, and not with the next sign of life");
        await tell("before, again", { groupKey: "g" });
        assert.deepEqual(await first.titles(2), ["one", "before, again"]);
        assert.deepEqual(
          first.events.map(({ id }) => id),
          ["1", "2", "3"],
        );
        assert.equal(first.events[2]?.data["count"], 2);
        const seen: [string, Record<string, string>, string[]][] = [
          ["", { "last-event-id": "2" }, ["before, again"]],
          ["?after_seq=2", {}, ["before, again"]],
          ["?after_seq=3", { "last-event-id": "1" }, ["one", "before, again"]],
          // This hub has never said that: it was restored from a backup, or they became a member again.
          ["", { "last-event-id": "77" }, ["one", "before, again"]],
          ["", { "last-event-id": "what" }, ["one", "before, again"]],
        ];
        for (const [query, headers, titles] of seen) {
          await using again = await read(query, headers);
          assert.deepEqual(await again.titles(titles.length), titles);
        }
        const head = await hub.ask("HEAD", PATH, { token: ann.token });
        assert.deepEqual([head.status, head.text], [200, ""]);
        await until(() => hub.context.streamReaders.count === 1, { what: "the end of those that were closed" });
      }),
    );

    test(
      "loses nothing and repeats nothing, whoever comes and goes",
      withHub(async ({ tell, read }) => {
        const all = Array.from({ length: 60 }, (_, index) => `n${index}`);
        const telling = (async () => {
          for (const title of all) await tell(title);
        })();
        const seen: string[] = [];
        let last = "0";
        while (seen.length < all.length) {
          await using reader = await read("", { "last-event-id": last });
          await until(() => reader.events.length >= 2, { what: "something more" });
          const told = reader.events.filter(({ type }) => type === "notification").slice(0, 5);
          seen.push(...told.map(({ data }) => String(data["title"])));
          last = told.at(-1)?.id ?? last;
        }
        await telling;
        assert.deepEqual(seen, all);
      }),
    );

    test(
      "shows a sign of life while nothing happens",
      withHub(
        async ({ read }) => {
          await using reader = await read();
          await until(() => reader.comments >= 3, { what: "three comments" });
          assert.equal(reader.end, undefined);
        },
        { heartbeatMs: 100 },
      ),
    );

    test(
      "shows it as well to who is woken again and again for nothing",
      withHub(
        async ({ hub, ann, read }) => {
          await using reader = await read();
          const payload = JSON.stringify({ organization_id: ann.organizationId, user_ids: [ann.userId] });
          const waking = setInterval(() => void hub.context.bus.publish({ topic: HUB_TOPICS.notifications, payload, qos: 1 }), 20);
          await until(() => reader.comments >= 3, { what: "three comments" }).finally(() => clearInterval(waking));
        },
        { heartbeatMs: 100 },
      ),
    );

    const endings: readonly [string, (scene: Scene, loginId: string) => Promise<unknown>][] = [
      ["login ends", ({ hub }, loginId) => endLogin(hub.context.store.db, loginId, Date.now())],
      ["membership ends", ({ hub, ann }) => removeMember(hub.context.store.db, ann.organizationId, ann.userId, Date.now())],
      ["account is made inactive", ({ hub, ann }) => changeUser(hub.context.store.db, ann.userId, { isActive: false })],
      [
        "login acts in another organisation",
        async ({ hub }, loginId) => setLoginOrganization(hub.context.store.db, loginId, (await hub.member()).organizationId),
      ],
    ];
    for (const [what, act] of endings)
      test(
        `ends within a second when the ${what}, and no other does`,
        withHub(async (scene) => {
          const { hub, ann, read } = scene;
          const { db } = hub.context.store;
          // An organisation keeps an owner.
          await addPerson(db, ann.organizationId, "owner");
          const other = await hub.member();
          await joinOrganization(db, ann.organizationId, other.userId);
          await using reader = await read();
          await using neighbour = await readEvents(hub.api.url + PATH, { authorization: `Bearer ${other.token}` });
          await until(() => reader.events.length === 1 && neighbour.events.length === 1, { what: "both" });
          const [login] = (await db("logins").where({ user_id: ann.userId }).select("id")) as { id: string }[];
          await act(scene, login?.id ?? "");
          const from = performance.now();
          await until(() => reader.end, { what: "the end" });
          assert.equal(reader.end, "ended");
          assert.ok(performance.now() - from < 1_500, `${performance.now() - from}`);
          assert.equal(neighbour.end, undefined);
        }),
      );

    test(
      "ends when the token is revoked, and when the hub stops",
      withHub(async ({ hub, ann, read }) => {
        const made = await hub.ask("POST", "/api/v1/access-tokens", { token: ann.token, body: { kind: "personal", name: "laptop" } });
        await using byToken = await read("", { authorization: `Bearer ${field(made, "token")}` });
        await using byLogin = await read();
        await until(() => byToken.events.length === 1 && byLogin.events.length === 1, { what: "both" });
        assert.equal((await hub.ask("DELETE", `/api/v1/access-tokens/${field(made, "id")}`, { token: ann.token })).status, 204);
        await until(() => byToken.end === "ended", { what: "the end" });
        assert.equal(byLogin.end, undefined);
        hub.context.streamReaders[Symbol.dispose]();
        await until(() => byLogin.end === "ended", { what: "the end of the other" });
        assertEnvelope(await hub.ask("GET", PATH, { token: ann.token }), 503, "unavailable");
      }),
    );

    test(
      `is read by one person ${MOST_OF_ONE} times at once, and by others still`,
      withHub(async ({ hub, ann, read }) => {
        await using stack = new AsyncDisposableStack();
        const readers = await Promise.all(Array.from({ length: MOST_OF_ONE + 3 }, async () => stack.use(await read())));
        assert.deepEqual(
          readers.map(({ status }) => status).toSorted((one, other) => one - other),
          [...Array<number>(MOST_OF_ONE).fill(200), 429, 429, 429],
        );
        const refused = await hub.ask("GET", PATH, { token: ann.token });
        assertEnvelope(refused, 429, "rate_limited");
        assert.equal(refused.headers.get("retry-after"), "30");
        const other = await hub.member();
        await using neighbour = await readEvents(hub.api.url + PATH, { authorization: `Bearer ${other.token}` });
        assert.equal(neighbour.status, 200);
        await stack.disposeAsync();
        await until(() => hub.context.streamReaders.count === 1, { what: "room" });
        await using again = await read();
        assert.equal(again.status, 200);
      }),
    );

    test(
      "is closed for a reader that takes nothing, while others go on",
      withHub(
        async ({ hub, ann, notifyAll, tell, read }) => {
          // More than what fits into the buffers of both sides of a connection.
          const large = { body: "\n".repeat(1_900) + "x".repeat(90), data: { text: "y".repeat(4_000) } };
          await notifyAll(Array.from({ length: 1_000 }, (_, index) => ({ ...large, title: `${index} ${"z".repeat(180)}` })));
          const { port } = new URL(hub.api.url);
          const lazy = connect(Number(port), "127.0.0.1");
          lazy.on("error", () => undefined);
          lazy.pause();
          await once(lazy, "connect");
          lazy.write(`GET ${PATH}?after_seq=0 HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer ${ann.token}\r\n\r\n`);
          await until(() => hub.context.streamReaders.count === 1, { what: "the lazy one" });
          await using diligent = await read();
          await until(() => diligent.events.length === 1, { what: "the diligent one" });
          await until(() => hub.context.streamReaders.count === 1, { what: "the end of the lazy one", timeoutMs: 20_000 });
          await tell("still here");
          assert.deepEqual(await diligent.titles(1), ["still here"]);
          lazy.destroy();
        },
        // Long enough for the one that reads, on a machine that has other work.
        { stalledMs: 2_000, heartbeatMs: 200 },
      ),
    );
  });
