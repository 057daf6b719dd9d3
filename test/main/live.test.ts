import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIVE_PLACES } from "../../api/live/live-streams.ts";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { type EventReader, readEvents } from "../support/event-reader.ts";
import { ApiClient, startHub, type TestHub } from "../support/hub.ts";
import { until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

const PATH = "/api/v1/live";
type Device = Awaited<ReturnType<ApiClient["addDevice"]>>;

const read = (hub: Pick<TestHub, "http">, token: string | undefined, query = "", headers: Record<string, string> = {}) =>
  readEvents(`${hub.http}${PATH}${query}`, { authorization: `Bearer ${token}`, ...headers });

async function report(hub: Pick<TestHub, "http">, { uid, token }: Device, samples: readonly object[]): Promise<void> {
  const response = await fetch(`${hub.http}/api/v1/devices/sensor-report`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-device-uid": uid, "x-device-token": token },
    body: JSON.stringify(samples),
  });
  assert.equal(response.status, 202, await response.text());
}
const told = ({ events }: EventReader, type: string): Record<string, unknown>[] =>
  events.filter((one) => one.type === type).map(({ data }) => data);
const ready = (reader: EventReader) => until(() => reader.events[0], { what: "the first event" });

async function raiseAlert(api: ApiClient, title: string): Promise<void> {
  const { status, body } = await api.call("POST", "/api/v1/alerts", { title, severity: "info", key: title });
  assert.equal(status, 201, JSON.stringify(body));
}
const titlesOf = (reader: EventReader): unknown[] => told(reader, "alerts").map(({ data }) => (data as { title: string }).title);

/** Somebody who may see one device. */
async function guestOf(hub: TestHub, device: Device): Promise<{ api: ApiClient; userId: string; organization: string }> {
  const { body: me } = await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
  const organization = `/api/v1/organizations/${me.organization_id}`;
  const invited = await hub.api.call<{ token: string }>("POST", `${organization}/invitations`, {
    email: `${newId()}@example.test`,
    role: null,
  });
  const made = await hub.api.call<{ access_token: string; user: { id: string } }>("POST", "/api/v1/invitations/register", {
    token: invited.body.token,
    password: "battery horse staple",
  });
  const userId = made.body.user.id;
  assert.equal((await hub.api.call("POST", `${organization}/grants`, { user_id: userId, device: device.uid, role: "viewer" })).status, 200);
  const api = new ApiClient(hub.http);
  api.token = made.body.access_token;
  return { api, userId, organization };
}

for (const { name, skip, open } of databases())
  describe(`live values on ${name}`, { skip }, () => {
    const withHub = (work: (hub: TestHub) => Promise<void>) => async (): Promise<void> => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      await hub.api.login();
      await work(hub);
    };

    test(
      "are told as they are, with their time, to those alone who may see the device",
      withHub(async (hub) => {
        const [one, other] = [await hub.api.addDevice(), await hub.api.addDevice()] as const;
        const guest = await guestOf(hub, one);
        await using all = await read(hub, hub.api.token);
        await using ofGuest = await read(hub, guest.api.token);
        await using onlyAlerts = await read(hub, hub.api.token, "?topics=alerts");
        assert.equal(all.headers.get("content-type"), "text/event-stream; charset=utf-8");
        for (const reader of [all, ofGuest, onlyAlerts]) assert.equal((await ready(reader)).type, "ready");
        const ts = Date.now() - 60_000;
        await report(hub, one, [{ ts, values: { t: 21.5, text: "12", is_on: true } }]);
        await report(hub, other, [{ ts, values: { t: 1 } }]);
        await until(() => told(all, "live_data").length >= 4, { what: "all values" });
        // Kept back by the device: nothing is new.
        await report(hub, one, [{ ts: ts - 1_000, values: { t: -1 } }]);
        await report(hub, one, [{ ts: ts + 1_000, values: { t: 22 } }]);
        await until(() => told(all, "live_data").length >= 5, { what: "the newer one" });
        const brief = (reader: EventReader) => told(reader, "live_data").map(({ uid, key, value, ts: at }) => [uid, key, value, at]);
        const iso = new Date(ts).toISOString();
        const first = [
          [one.uid, "t", 21.5, iso],
          [one.uid, "text", "12", iso],
          [one.uid, "is_on", true, iso],
          [other.uid, "t", 1, iso],
        ];
        const last = [one.uid, "t", 22, new Date(ts + 1_000).toISOString()];
        const byText = (rows: unknown[]): string[] => rows.map((row) => JSON.stringify(row)).toSorted();
        assert.deepEqual(byText(brief(all)), byText([...first, last]));
        await raiseAlert(hub.api, "wet");
        await until(() => titlesOf(all).length === 1 && titlesOf(onlyAlerts).length === 1, { what: "the alert" });
        await until(() => brief(ofGuest).length === 4, { what: "what the guest may see" });
        assert.deepEqual(byText(brief(ofGuest)), byText([...first.slice(0, 3), last]));
        assert.deepEqual(titlesOf(ofGuest), []);
        assert.deepEqual(
          onlyAlerts.events.map(({ type }) => type),
          ["ready", "alerts"],
        );

        assert.equal((await hub.api.call("POST", `/api/v1/devices/${one.uid}/release`)).status, 200);
        await until(() => told(all, "device_status").some(({ type }) => type === "device.released"), { what: "the release" });
        assert.equal((await hub.api.call("DELETE", `${guest.organization}/members/${guest.userId}`)).status, 204);
        await until(() => ofGuest.end === "ended", { what: "the end", timeoutMs: 5_000 });
        assert.equal(all.end, undefined);
      }),
    );

    test(
      "go on behind the last event that was seen",
      withHub(async (hub) => {
        await raiseAlert(hub.api, "before");
        let last: string | undefined;
        {
          await using reader = await read(hub, hub.api.token);
          last = (await ready(reader)).id;
        }
        assert.ok(last);
        await raiseAlert(hub.api, "one");
        const device = await hub.api.addDevice();
        const seen: unknown[] = [];
        {
          await using reader = await read(hub, hub.api.token, "", { "last-event-id": last });
          await raiseAlert(hub.api, "two");
          await until(() => titlesOf(reader).includes("two"), { what: "both" });
          seen.push(...titlesOf(reader));
          last = reader.events.findLast(({ id }) => id !== undefined)?.id as string;
        }
        assert.deepEqual(
          seen.filter((title) => title !== "before"),
          ["one", "two"],
        );
        assert.equal((await hub.api.call("DELETE", `/api/v1/devices/${device.uid}`, undefined, { "if-match": "*" })).status, 204);
        await using reader = await read(hub, hub.api.token, "?topics=device_status", { "last-event-id": last });
        await until(() => told(reader, "device_status").some(({ type }) => type === "device.deleted"), { what: "what was missed" });
        assert.deepEqual(titlesOf(reader), []);
        for (const id of ["nonsense", newId().replace(/^........-....-7/, "00000000-0000-4")]) {
          await using fresh = await read(hub, hub.api.token, "", { "last-event-id": id });
          assert.deepEqual(((await ready(fresh)).data["topics"] as string[]).length, 3);
        }
      }),
    );

    test(
      "tell of automations and tasks whoever names those, by the same rights",
      withHub(async (hub) => {
        const [one, other] = [await hub.api.addDevice(), await hub.api.addDevice()] as const;
        const guest = await guestOf(hub, one);
        await using all = await read(hub, hub.api.token, "?topics=automations,tasks");
        await using ofGuest = await read(hub, guest.api.token, "?topics=automations,tasks");
        await using usual = await read(hub, hub.api.token);
        for (const reader of [all, ofGuest, usual]) await ready(reader);
        const made = await hub.api.call<{ automation: { id: string } }>("POST", "/api/v1/automations", {
          name: "Tell",
          triggers: [{ kind: "device_offline" }],
          actions: [{ kind: "event", type: "custom.told" }],
        });
        assert.equal((await hub.api.call("POST", `/api/v1/automations/${made.body.automation.id}/run`)).status, 202);
        for (const device of [other, one]) {
          const task = { device: device.uid, name: `of ${device.uid}`, actions: [{ command: "identify" }], draft: true };
          const { body } = await hub.api.call<{ task: { id: string } }>("POST", "/api/v1/tasks", task);
          assert.equal((await hub.api.call("POST", `/api/v1/tasks/${body.task.id}/cancel`)).status, 200);
        }
        await raiseAlert(hub.api, "last");
        await until(() => titlesOf(usual).length === 1, { what: "the alert" });
        const tasksOf = (reader: EventReader) => told(reader, "tasks").map(({ data }) => (data as { uid: string }).uid);
        await until(() => tasksOf(all).length === 2 && told(all, "automations").length === 1, { what: "what happened" });
        await until(() => tasksOf(ofGuest).length === 1, { what: "the guest's task" });
        assert.equal(told(all, "automations")[0]?.["type"], "automation.fired");
        assert.deepEqual(tasksOf(all), [other.uid, one.uid]);
        assert.deepEqual([tasksOf(ofGuest), told(ofGuest, "automations")], [[one.uid], []]);
        assert.deepEqual([tasksOf(usual), told(usual, "automations")], [[], []]);
      }),
    );

    test(
      `end with the token, are ${LIVE_PLACES.ofOne} for one account, and end when the hub stops`,
      withHub(async (hub) => {
        const made = await hub.api.call<{ id: string; token: string }>("POST", "/api/v1/access-tokens", { kind: "service", name: "board" });
        assert.equal(made.status, 201, JSON.stringify(made.body));
        await using stack = new AsyncDisposableStack();
        const readers: EventReader[] = [];
        for (let count = 0; count < LIVE_PLACES.ofOne; count++) readers.push(stack.use(await read(hub, made.body.token)));
        assert.deepEqual(new Set(readers.map(({ status }) => status)), new Set([200]));
        assert.equal((await fetch(hub.http + PATH, { headers: { authorization: `Bearer ${made.body.token}` } })).status, 429);
        await using neighbour = await read(hub, hub.api.token);
        assert.equal((await hub.api.call("DELETE", `/api/v1/access-tokens/${made.body.id}`)).status, 204);
        await until(() => readers.every(({ end }) => end === "ended"), { what: "the end of all of them", timeoutMs: 5_000 });
        assert.equal(neighbour.end, undefined);
        assert.equal((await hub.api.call("GET", `${PATH}?topics=everything`)).status, 400);
        await hub[Symbol.asyncDispose]();
        await until(() => neighbour.end === "ended", { what: "the end of the other" });
      }),
    );
  });

test("live values of a device at one node are told at the other", { skip: clusterMissing() }, async () => {
  await using pair = await startPair();
  const { a, b } = pair;
  const device = await a.api.addDevice();
  await using reader = await read(b, b.api.token);
  await ready(reader);
  await until(
    async () => {
      await report(a, device, [{ values: { t: 5 } }]);
      return told(reader, "live_data").some(({ uid, value }) => uid === device.uid && value === 5);
    },
    { what: "the value" },
  );
  await raiseAlert(a.api, "at a");
  await until(() => titlesOf(reader).length === 1, { what: "the alert" });
});
