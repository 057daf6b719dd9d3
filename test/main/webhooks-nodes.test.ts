import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook as Verifier } from "standardwebhooks";
import { openStore } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import type { HookReceiver, ReceivedHook } from "../support/hook-receiver.ts";
import { startHookReceiver } from "../support/hook-receiver.ts";
import { type ApiClient, spawnHub, startHub, type TestHub } from "../support/hub.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { acquaint, clusterMissing, startGround, startPair } from "./cluster-hubs.ts";

const skip = clusterMissing();
const ALLOWED = { HEXA_OUTBOUND_ALLOW: "127.0.0.1/32" };
/** Everything that these tests make happen, and nothing that the hub does by itself. */
const EVENTS = ["device.registered"];

interface Made {
  readonly path: string;
  readonly secret: string;
}

async function makeWebhook(api: ApiClient, { url }: HookReceiver): Promise<Made> {
  const made = await api.call<{ webhook: { id: string }; secret: string }>("POST", "/api/v1/webhooks", { name: "x", url, events: EVENTS });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return { path: `/api/v1/webhooks/${made.body.webhook.id}`, secret: made.body.secret };
}

const idOf = ({ headers }: ReceivedHook): string => String(headers["webhook-id"]);
const subjectOf = ({ body }: ReceivedHook): string => (JSON.parse(body) as { subject: string }).subject;

/** Each device that is added is an event, which the node that was asked stores. */
async function addDevices(hub: Pick<TestHub, "api">, count: number): Promise<string[]> {
  const added = await Promise.all(Array.from({ length: count }, (_, index) => hub.api.addDevice({ name: `lamp ${index}` })));
  return added.map(({ id }) => id);
}

interface Sent {
  readonly id: string;
  readonly status: string;
  readonly attempts: number;
}

async function sentTo(api: ApiClient, { path }: Made): Promise<readonly Sent[]> {
  return (await api.call<{ data: Sent[] }>("GET", `${path}/deliveries?limit=200`)).body.data;
}

test("of two nodes each message is sent by one, once, whichever has stored its event; each keeps to its places", { skip }, async () => {
  await using pair = await startPair({ env: ALLOWED });
  const { a, b } = pair;
  await using target = await startHookReceiver();
  const made = await makeWebhook(a.api, target);
  // Another node hears of it within a second.
  await until(
    async () => {
      await addDevices(b, 1);
      return target.received.length > 0;
    },
    { what: "an event of the other node" },
  );
  await until(async () => (await sentTo(a.api, made)).every(({ status }) => status === "delivered"), { what: "its end" });
  const before = target.received.length;

  // All places are taken, and nothing is answered until many wait.
  const held: (() => void)[] = [];
  target.answer = (response) => void held.push(() => response.writeHead(204).end());
  const ids = (await Promise.all([addDevices(a, 30), addDevices(b, 30)])).flat();
  await until(() => target.open.now === 4, { what: "two places of each node" });
  target.answer = (response) => void response.writeHead(204).end();
  for (const answer of held) answer();
  await until(
    async () => {
      const sent = await sentTo(b.api, made);
      return sent.length === before + 60 && sent.every(({ status }) => status === "delivered");
    },
    { what: "all of them", timeoutMs: 20_000 },
  );
  const received = target.received.slice(before);
  assert.deepEqual(received.map(subjectOf).toSorted(), ids.toSorted());
  assert.equal(new Set(target.received.map(idOf)).size, target.received.length);
  assert.equal(target.open.most, 4);
  assert.ok((await sentTo(a.api, made)).every(({ attempts }) => attempts === 1));
});

test("what a node was sending when it was killed another one sends, under the same id, and loses nothing that waited", {
  skip,
  timeout: 120_000,
}, async () => {
  await using ground = await startGround();
  await using folder = temporaryFolder();
  await using target = await startHookReceiver();
  const options = { databaseUrl: ground.databaseUrl, redisUrl: ground.redisUrl, env: ALLOWED };
  await using dying = await spawnHub({ ...options, dataDir: folder.path });
  await dying.api.login();
  const made = await makeWebhook(dying.api, target);
  target.answer = () => undefined;
  const ids = await addDevices(dying, 6);
  await until(() => target.received.length === 2, { what: "two messages under way" });
  const underWay = target.received.map(idOf);

  await using hub = await startHub(options);
  await hub.api.login();
  await acquaint(hub, dying);
  target.answer = (response) => void response.writeHead(204).end();
  await dying.kill9();
  {
    // The dead node's leases end by time, which this test has not.
    await using store = await openStore({ dataDir: folder.path, databaseUrl: ground.databaseUrl });
    const past = new Date(Date.now() - 1_000).toISOString();
    await rowsOf(store.db, "update webhook_deliveries set next_attempt_at = ? where status = 'pending'", [past]);
    const woken = await rowsOf(store.db, "update timers set due_at = ? where kind = 'webhook_delivery' returning id", [past]);
    assert.ok(woken.length >= 2, "nothing would wake another node");
  }
  await until(
    async () => {
      const sent = await sentTo(hub.api, made);
      return sent.length === 6 && sent.every(({ status }) => status === "delivered");
    },
    { what: "all six", timeoutMs: 40_000 },
  );
  assert.equal(target.received.length, 8);
  const again = target.received.slice(2);
  assert.deepEqual(again.map(subjectOf).toSorted(), ids.toSorted());
  for (const id of underWay) assert.equal(again.filter((one) => idOf(one) === id).length, 1, id);
  for (const { body, headers } of target.received) new Verifier(made.secret).verify(body, headers as Record<string, string>);
});

test("switched off, on or given another secret at one node, a webhook is so at the other", { skip }, async () => {
  await using pair = await startPair({ env: ALLOWED });
  const { a, b } = pair;
  await using target = await startHookReceiver();
  await using witness = await startHookReceiver();
  const made = await makeWebhook(a.api, target);
  const beside = await makeWebhook(a.api, witness);
  /** Something happens at B; resolves to the device when the webhook beside has been told. */
  const happenAtB = async (): Promise<string> => {
    const [id] = (await addDevices(b, 1)) as [string];
    await until(() => witness.received.some((one) => subjectOf(one) === id), { what: "what happened at B" });
    return id;
  };
  const isTold = (id: string): boolean => target.received.some((one) => subjectOf(one) === id);
  await until(() => addDevices(b, 1).then(() => witness.received.length > 0 && target.received.length > 0), { what: "that B knows both" });

  const rotated = await a.api.call<{ secret: string }>("POST", `${made.path}/rotate-secret`);
  assert.equal(rotated.status, 200, JSON.stringify(rotated.body));
  const signed = await happenAtB();
  const message = await until(() => target.received.find((one) => subjectOf(one) === signed), { what: "the signed message" });
  for (const secret of [made.secret, rotated.body.secret])
    new Verifier(secret).verify(message.body, message.headers as Record<string, string>);

  const turn = async (path: string, isActive: boolean): Promise<void> => {
    const { status, body } = await a.api.call("PATCH", path, { is_active: isActive }, { "if-match": "*" });
    assert.equal(status, 200, JSON.stringify(body));
  };
  await turn(made.path, false);
  // Whether B has heard of it or not: it is sent nothing from the answer on.
  const after = await happenAtB();
  await until(async () => (await sentTo(b.api, made)).every(({ status }) => status !== "pending"), { what: "nothing that waits" });
  assert.ok(!isTold(after));
  await until(
    async () => {
      const { length } = await sentTo(b.api, made);
      await happenAtB();
      return (await sentTo(b.api, made)).length === length;
    },
    { what: "that B makes no message for it" },
  );
  await turn(made.path, true);
  await until(async () => isTold(await happenAtB()), { what: "that B tells it again" });

  const gone = await a.api.call("DELETE", beside.path, undefined, { "if-match": "*" });
  assert.equal(gone.status, 204);
  const count = witness.received.length;
  const [last] = (await addDevices(b, 1)) as [string];
  await until(() => isTold(last), { what: "what happened then" });
  assert.equal(witness.received.length, count);
});
