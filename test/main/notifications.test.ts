import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import mqtt from "mqtt";
import { openStore } from "../../store/open.ts";
import { homeOrganization } from "../../store/organizations.ts";
import { loadMasterKey, loadSigningKeys } from "../../store/secrets.ts";
import { openNotifyScene, wanted } from "../rules/notify-scene.ts";
import { databases } from "../support/databases.ts";
import { readEvents } from "../support/event-reader.ts";
import { ADMIN, startHub, type TestHub } from "../support/hub.ts";
import { startSmtpServer } from "../support/smtp-server.ts";
import { temporaryFolder, until } from "../support/wait.ts";
import { clusterMissing, startPair } from "./cluster-hubs.ts";

const OTHER = { email: "other@example.test", password: "battery horse staple" };

interface TopicReader extends AsyncDisposable {
  readonly messages: { readonly topic: string; readonly event: Record<string, unknown> & { readonly data: Record<string, unknown> } }[];
}

/** A client whose session outlives it, and which reads everything that it may. */
async function listen(hub: Pick<TestHub, "mqtt">, who = ADMIN): Promise<TopicReader> {
  const options = { username: who.email, password: who.password, clientId: `reader-${who.email}`, clean: false, reconnectPeriod: 0 };
  const client = mqtt.connect(hub.mqtt, options);
  // Before it is connected: what waits for the session comes with the CONNACK.
  const messages: TopicReader["messages"] = [];
  client.on("message", (topic, payload) => void messages.push({ topic, event: JSON.parse(payload.toString()) as never }));
  await new Promise<void>((resolve, reject) => void client.once("connect", () => resolve()).once("error", reject));
  await client.subscribeAsync("hexa-app/+/users/+/notifications", { qos: 1 });
  return { messages, [Symbol.asyncDispose]: () => client.endAsync() };
}

/** Another member of the administrator's organisation. */
async function invite(hub: TestHub): Promise<string> {
  const { body: me } = await hub.api.call<{ organization_id: string }>("GET", "/api/v1/auth/me");
  const path = `/api/v1/organizations/${me.organization_id}/invitations`;
  const { body } = await hub.api.call<{ token: string }>("POST", path, { email: OTHER.email, role: "viewer" });
  const made = await hub.api.call<{ user: { id: string } }>("POST", "/api/v1/invitations/register", {
    token: body.token,
    password: OTHER.password,
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.user.id;
}

for (const { name, skip, open } of databases())
  test(`${name}: what was committed by a hub that was killed before it told anybody is told by the next one, on every channel`, {
    skip,
  }, async () => {
    await using database = await open();
    await using folder = temporaryFolder();
    await using smtp = await startSmtpServer();
    const env = { HEXA_SMTP_URL: smtp.url, HEXA_MAIL_FROM: "hub@hub.example" };
    const options = { dataDir: folder.path, databaseUrl: database.url, env };
    {
      await using hub = await startHub(options);
      await hub.api.login();
      await invite(hub);
      // Their sessions stay, with what they have subscribed.
      await using _admin = await listen(hub);
      await using _other = await listen(hub, OTHER);
    }
    const child = spawn(
      process.execPath,
      ["test/main/notify-child.ts", folder.path, "the cellar is wet", ...(database.url ? [database.url] : [])],
      {
        stdio: "inherit",
      },
    );
    const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
    assert.deepEqual([code, signal], [null, "SIGKILL"]);

    await using hub = await startHub(options);
    await hub.api.login();
    await using admin = await listen(hub);
    await using other = await listen(hub, OTHER);
    const token = hub.api.token as string;
    await using reader = await readEvents(`${hub.http}/api/v1/notifications/stream?after_seq=0`, { authorization: `Bearer ${token}` });
    await until(() => admin.messages.length > 0 && other.messages.length > 0, { what: "what was left to be told", timeoutMs: 30_000 });
    assert.deepEqual(await reader.titles(1), ["the cellar is wet"]);
    const { body } = await hub.api.call<{ data: { id: string; title: string }[] }>("GET", "/api/v1/notifications");
    assert.deepEqual(
      body.data.map(({ title }) => title),
      ["the cellar is wet"],
    );
    const [told] = admin.messages;
    assert.ok(told);
    assert.deepEqual([told.event["subject"], told.event.data["title"]], [body.data[0]?.id, "the cellar is wet"]);
    assert.equal(admin.messages.length, 1);
    assert.equal(other.messages.length, 1);
    assert.notEqual(other.messages[0]?.topic, told.topic, "each has a topic of their own");
    // The address of the environment's administrator counts as verified.
    for (const { email } of [OTHER, ADMIN]) assert.equal((await smtp.mailTo(email)).headers.get("subject"), "[critical] the cellar is wet");
    assert.equal(smtp.mails.length, 2);
  });

test("of two nodes one tells what a third has left: readers at both hear it at once, and only once", {
  skip: clusterMissing(),
}, async () => {
  await using pair = await startPair();
  const { a, b, ground } = pair;
  const otherId = await invite(a);
  await using folder = temporaryFolder();
  await using store = await openStore({ dataDir: folder.path, databaseUrl: ground.databaseUrl });
  const { db } = store;
  const keys = await loadSigningKeys(db, await loadMasterKey(folder.path, "ab".repeat(32)));
  const dead = { publish: () => Promise.reject(new Error("it was killed")), subscribe: () => ({ [Symbol.dispose]: () => undefined }) };
  await using third = await openNotifyScene(db, { keys, bus: dead });
  await using atB = await listen(b);
  const readAt = (hub: TestHub) => readEvents(`${hub.http}/api/v1/notifications/stream`, { authorization: `Bearer ${a.api.token}` });
  await using streamA = await readAt(a);
  await using streamB = await readAt(b);
  await until(() => streamA.events.length === 1 && streamB.events.length === 1, { what: "both streams" });
  const { id } = await homeOrganization(db);
  await third.notify(wanted(id, { title: "from the third" }));
  for (const stream of [streamA, streamB]) assert.deepEqual(await stream.titles(1), ["from the third"]);
  await until(() => atB.messages.length > 0, { what: "the message" });
  await until(async () => (await db("timers").where({ kind: "notification" })).length === 0, { what: "nothing left" });
  assert.equal(atB.messages.length, 1);

  // Whoever is taken out at one node hears nothing more at the other.
  const login = await b.api.call<{ access_token: string }>("POST", "/api/v1/auth/login", OTHER);
  await using stream = await readEvents(`${b.http}/api/v1/notifications/stream`, { authorization: `Bearer ${login.body.access_token}` });
  await using topics = await listen(b, OTHER);
  await until(() => stream.events.length === 1, { what: "the stream of the other" });
  assert.equal((await a.api.call("DELETE", `/api/v1/organizations/${id}/members/${otherId}`)).status, 204);
  await until(() => stream.end === "ended", { what: "the end of the stream", timeoutMs: 2_000 });
  await third.notify(wanted(id, { title: "without them" }));
  await until(() => atB.messages.length === 2, { what: "the message for those who are there", timeoutMs: 30_000 });
  assert.deepEqual(topics.messages, []);
});
