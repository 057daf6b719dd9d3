import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectAsync } from "mqtt";
import { newId } from "../../core/id.ts";
import { insertEvents } from "../../store/events.ts";
import { eventAt } from "../store/event-rows.ts";
import { databases } from "../support/databases.ts";
import { ADMIN, startHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { ids, inScene, type Json } from "./places-scene.ts";
import { type Answered, assertEnvelope, field, PROVISION_KEY } from "./test-api.ts";

const eventOf = (answer: Answered): Json & { id: string } => {
  assert.equal(answer.status, 201, answer.text);
  return answer.json["event"] as Json & { id: string };
};
interface Node {
  readonly event: Json & { id: string };
  readonly children: Node[];
}
const drawn = (nodes: readonly Node[]): unknown[] => nodes.map(({ event, children }) => [event.id, ...drawn(children)]);

for (const { name, skip, open } of databases()) {
  describe(`events on ${name}`, { skip }, () => {
    test("an own event is kept, goes out and stands in the audit, with whoever said it", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const lamp = await make("devices", { name: "Lamp" });
        hub.emitted.length = 0;
        const body = { type: "custom.acme.order-paid", data: { sum: 12.5, lines: [{ name: "größe" }] }, entity_id: lamp.id.toUpperCase() };
        const made = eventOf(await ask(owner, "POST", "events", body));
        assert.deepEqual(made, {
          ...made,
          type: body.type,
          data: body.data,
          entity_id: lamp.id,
          organization_id: owner.organizationId,
          actor: { kind: "user", id: owner.userId },
          source: `/hexahub/users/${owner.userId}`,
          correlation_id: made.id,
          causation_id: null,
        });
        assert.deepEqual(
          hub.emitted.map(({ id }) => id),
          [made.id],
        );
        assert.deepEqual((await ask(owner, "GET", `events/${made.id.toUpperCase()}`)).json["event"], made);
        const [note] = (await ask(owner, "GET", "audit?action=event.publish")).json["data"] as Json[];
        assert.deepEqual([note?.["resource_id"], note?.["details"]], [made.id, { type: body.type, entity_id: lamp.id }]);
        for (const query of ["type=custom.*", `source=/hexahub/users/${owner.userId}`, `actor_id=${owner.userId}&type=custom.acme.*`])
          assert.deepEqual(ids(await ask(owner, "GET", `events?${query}`)), [made.id], query);
      });
    });

    test("a repetition says it once", async () => {
      await inScene(open, async ({ hub, owner, ask }) => {
        const key = { "idempotency-key": newId() };
        const body = { type: "custom.once", data: {} };
        const answers = await Promise.all([1, 2, 3].map(() => ask(owner, "POST", "events", body, key)));
        const made = answers.filter(({ status }) => status === 201);
        assert.ok(made.length >= 1 && answers.every(({ status }) => status === 201 || status === 409));
        assert.equal(new Set(made.map((answer) => eventOf(answer).id)).size, 1);
        assert.equal(eventOf(await ask(owner, "POST", "events", body, key)).id, eventOf(made[0] as Answered).id);
        assert.equal(hub.emitted.length, 1);
        assert.equal(ids(await ask(owner, "GET", "events?type=custom.once")).length, 1);
      });
    });

    test("a cause is an event that one sees, and its chain is the event's", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const stranger = await hub.member();
        const say = (more: object, who = owner) => ask(who, "POST", "events", { type: "custom.said", data: {}, ...more });
        const root = eventOf(await say({ correlation_id: "order:4711" }));
        assert.equal(root["correlation_id"], "order:4711");
        const child = eventOf(await say({ causation_id: root.id }));
        assert.deepEqual([child["correlation_id"], child["causation_id"]], ["order:4711", root.id]);
        const grandchild = eventOf(await say({ causation_id: child.id, correlation_id: "order:4711" }));
        assertEnvelope(await say({ causation_id: child.id, correlation_id: "order:4712" }), 400, "validation_error");
        const theirs = eventOf(await say({ correlation_id: "order:4711" }, stranger));
        const lamp = await make("devices", { name: "Theirs" }, stranger);
        for (const more of [{ causation_id: theirs.id }, { causation_id: newId() }, { entity_id: lamp.id }, { entity_id: stranger.userId }])
          assertEnvelope(await say(more), 404, "not_found");

        const chain = await ask(owner, "GET", `events/${grandchild.id}/chain`);
        const { roots, ...about } = chain.json as unknown as { roots: Node[] };
        assert.deepEqual(about, { correlation_id: "order:4711", count: 3, truncated: false });
        assert.deepEqual(drawn(roots), [[root.id, [child.id, [grandchild.id]]]]);
        assert.deepEqual(roots[0]?.event, root);
        assertEnvelope(await ask(owner, "GET", `events/${theirs.id}/chain`), 404, "not_found");
        assertEnvelope(await ask(owner, "GET", `events/${theirs.id}`), 404, "not_found");
        assertEnvelope(await ask(owner, "GET", "events/none"), 400, "validation_error");
      });
    });

    test("who reads alone says nothing, and a token says nothing of what it may not see", async () => {
      await inScene(open, async ({ hub, owner, ask, make, join }) => {
        const lamp = await make("devices", { name: "Lamp" });
        const body = { type: "custom.said", data: {}, entity_id: lamp.id };
        for (const role of ["viewer", null]) assertEnvelope(await ask(await join(role), "POST", "events", body), 403, "forbidden");
        eventOf(await ask(await join("operator"), "POST", "events", body));
        const limited = (permissions: string[]) =>
          ask(owner, "POST", "access-tokens", { kind: "personal", name: permissions.join(), permissions });
        const blind = { token: field(await limited(["bus.publish"]), "token") };
        assertEnvelope(await ask(blind, "POST", "events", body), 404, "not_found");
        const said = eventOf(await ask(blind, "POST", "events", { ...body, entity_id: undefined }));
        assertEnvelope(await ask(blind, "POST", "events", { type: "custom.x", data: {}, causation_id: said.id }), 404, "not_found");
        assertEnvelope(await ask(blind, "GET", `events/${said.id}`), 403, "forbidden");

        const root = await hub.member("admin");
        const theirs = eventOf(await ask(root, "POST", "events", body));
        assert.equal(theirs["organization_id"], owner.organizationId);
        const own = eventOf(await ask(root, "POST", "events", { type: "custom.x", data: {}, entity_id: owner.userId }));
        assert.equal(own["organization_id"], root.organizationId);
        assertEnvelope(await ask(root, "POST", "events", { type: "custom.x", data: {}, causation_id: theirs.id }), 404, "not_found");
        const enrolled = await hub.ask("POST", "/api/v1/provision/register", {
          headers: { "x-provision-key": PROVISION_KEY },
          body: { name: "Nobody's", device_class: "relay_controller" },
        });
        const nobodys = (await ask(root, "GET", `devices/${field(enrolled, "device_uid")}`)).json["device"] as { id: string };
        assertEnvelope(await ask(root, "POST", "events", { ...body, entity_id: nobodys.id }), 409, "conflict");
      });
    });

    test("what is too large, too deep or no type of one's own is refused", async () => {
      await inScene(open, async ({ hub, owner, ask }) => {
        const say = (body: object) => ask(owner, "POST", "events", { type: "custom.x", data: {}, ...body });
        const text = (bytes: number) => ({ text: "x".repeat(bytes - '{"text":""}'.length) });
        let deep: object = {};
        for (let level = 0; level < 40; level++) deep = { deep };
        for (const body of [
          { data: text(16_385) },
          { data: deep },
          { data: [] },
          { data: "text" },
          { type: "device.online" },
          { type: "custom" },
          { type: "custom.a/b" },
          { type: "custom.+" },
          { type: `custom.${"a".repeat(94)}` },
          { correlation_id: "a b" },
          { causation_id: "x" },
          { source: "/mine" },
        ])
          assertEnvelope(await say(body), 400, "validation_error");
        assert.equal(hub.emitted.length, 0);
        eventOf(await say({ data: text(16_384), type: `custom.${"a".repeat(93)}` }));
      });
    });

    test("filters go together, types as a list and repeated; a guest sees what is about the device", async () => {
      await inScene(open, async ({ owner, ask, make, join }) => {
        const [lamp, other] = [await make("devices", { name: "Lamp" }), await make("devices", { name: "Other" })];
        const say = async (type: string, entity: string) =>
          eventOf(await ask(owner, "POST", "events", { type, data: {}, entity_id: entity })).id;
        const [a, b, c] = [await say("custom.a", lamp.id), await say("custom.b", other.id), await say("custom.c", lamp.id)];
        for (const [query, expected] of [
          ["type=custom.a,custom.b", [b, a]],
          ["type=custom.a&type=custom.b,custom.c", [c, b, a]],
          [`type=custom.*&entity_id=${lamp.id}`, [c, a]],
          [`type=custom.*&limit=2`, [c, b]],
          [`type=custom.*&limit=2&cursor=${b}`, [a]],
          [`correlation_id=${a}`, [a]],
          [`causation_id=${a}`, []],
          ["type=custom.*&from=2000-01-01&to=2000-01-02", []],
        ] as const)
          assert.deepEqual(ids(await ask(owner, "GET", `events?${query}`)), expected, query);
        for (const query of [
          "type=",
          "type=none",
          "type=custom.a,,custom.b",
          "type=*",
          "from=now",
          `type=${"custom.a,".repeat(20)}custom.b`,
        ])
          assertEnvelope(await ask(owner, "GET", `events?${query}`), 400, "validation_error");

        const guest = await join(null);
        const grant = { user_id: guest.userId, device: lamp.id, role: "viewer" };
        assert.equal((await ask(owner, "POST", `organizations/${owner.organizationId}/grants`, grant)).status, 200);
        assert.deepEqual(ids(await ask(guest, "GET", "events?type=custom.*")), [c, a]);
        assertEnvelope(await ask(guest, "GET", `events/${b}`), 404, "not_found");
        assert.equal((await ask(guest, "GET", "events/metrics?type=custom.*")).json["total"], 2);
        assert.equal((await ask(guest, "GET", "events/patterns?type=custom.*")).json["events"], 2);
      });
    });

    test("counts and patterns speak of the time that was asked for", async () => {
      await inScene(open, async ({ hub, owner, ask, make }) => {
        const { db } = hub.context.store;
        const lamp = await make("devices", { name: "Lamp" });
        const start = Date.parse("2026-03-28T23:59:00.000Z");
        const about = { organizationId: owner.organizationId, entityId: lamp.id };
        const rows = Array.from({ length: 10 }, (_, index) => [
          eventAt(start + index * 60_000, { ...about, type: "device.input_event" }),
          eventAt(start + index * 60_000 + 500, { ...about, type: "device.state_changed" }),
        ]).flat();
        const crowd = Array.from({ length: 30 }, (_, index) => eventAt(start + 270_000 + index, { ...about, type: "custom.crowd" }));
        await insertEvents(db, [...rows, ...crowd]);
        const period = "from=2026-03-28T23:00:00Z&to=2026-03-29T01:00:00Z";
        const counted = (await ask(owner, "GET", `events/metrics?${period}&bucket=day`)).json;
        assert.deepEqual(counted, {
          from: "2026-03-28T23:00:00.000Z",
          to: "2026-03-29T01:00:00.000Z",
          bucket: "day",
          total: 50,
          types: [
            { type: "custom.crowd", count: 30 },
            { type: "device.input_event", count: 10 },
            { type: "device.state_changed", count: 10 },
          ],
          entities: [{ entity_id: lamp.id, count: 50 }],
          buckets: [
            { start: "2026-03-28T00:00:00.000Z", count: 2, types: { "device.input_event": 1, "device.state_changed": 1 } },
            {
              start: "2026-03-29T00:00:00.000Z",
              count: 48,
              types: { "custom.crowd": 30, "device.input_event": 9, "device.state_changed": 9 },
            },
          ],
        });
        const found = (await ask(owner, "GET", `events/patterns?${period}&window_s=1&burst_window_s=10`)).json;
        assert.deepEqual(found, {
          events: 50,
          truncated: false,
          first_at: "2026-03-28T23:59:00.000Z",
          last_at: "2026-03-29T00:08:00.500Z",
          frequency: [
            { type: "custom.crowd", count: 30, mean_interval_ms: 1, median_interval_ms: 1, regularity: 1 },
            { type: "device.input_event", count: 10, mean_interval_ms: 60_000, median_interval_ms: 60_000, regularity: 1 },
            { type: "device.state_changed", count: 10, mean_interval_ms: 60_000, median_interval_ms: 60_000, regularity: 1 },
          ],
          sequences: [
            { before: "device.input_event", after: "device.state_changed", count: 10, support: 0.2, confidence: 1, median_delay_ms: 500 },
          ],
          bursts: [{ start: "2026-03-29T00:03:30.000Z", end: "2026-03-29T00:03:40.000Z", count: 30 }],
        });
        const nothing = (await ask(owner, "GET", "events/patterns?from=2001-01-01&to=2001-01-02")).json;
        assert.deepEqual(nothing, { events: 0, truncated: false, first_at: null, last_at: null, frequency: [], sequences: [], bursts: [] });
        assert.equal((await ask(owner, "GET", "events/metrics")).json["total"], 1, "the enrolment, of the last 24 hours");
        for (const query of [
          "metrics?from=2026-01-02&to=2026-01-01",
          "metrics?from=2026-01-01T00:00:00Z&to=2026-01-01T16:40:01Z&bucket=minute",
          "metrics?bucket=week",
          "patterns?window_s=0",
          "patterns?sigma=0",
        ])
          assertEnvelope(await ask(owner, "GET", `events/${query}`), 400, "validation_error");
        const most = "from=2026-01-01T00:00:00Z&to=2026-01-01T16:40:00Z&bucket=minute";
        assert.equal((await ask(owner, "GET", `events/metrics?${most}`)).status, 200);
      });
    });

    test("over MQTT it comes like every other event, to its organisation alone", async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      const client = await connectAsync(hub.mqtt, { username: ADMIN.email, password: ADMIN.password, protocolVersion: 5 });
      const heard: { topic: string; event: Json }[] = [];
      client.on("message", (topic, payload) => void heard.push({ topic, event: JSON.parse(payload.toString()) as Json }));
      await client.subscribeAsync("hexa-app/+/events/custom.door.opened", { qos: 1 });
      const body = { type: "custom.door.opened", data: { door: "front" } };
      const said = await hub.api.call<{ event: Json }>("POST", "/api/v1/events", body);
      assert.equal(said.status, 201);
      await until(() => heard.length > 0, { what: "the event" });
      await client.endAsync();
      const { event } = said.body;
      assert.deepEqual(heard, [
        {
          topic: `hexa-app/${String(event["organization_id"])}/events/custom.door.opened`,
          event: {
            specversion: "1.0",
            id: event["id"],
            type: body.type,
            source: event["source"],
            time: event["timestamp"],
            datacontenttype: "application/json",
            correlationid: event["id"],
            actorkind: "user",
            actorid: (event["actor"] as Json)["id"],
            data: body.data,
          },
        },
      ]);
    });
  });
}
