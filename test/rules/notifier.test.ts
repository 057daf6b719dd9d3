import assert from "node:assert/strict";
import type { BusMessage } from "../../core/bus.ts";
import { HUB_TOPICS } from "../../core/hub-topics.ts";
import { newId } from "../../core/id.ts";
import type { Notification, NotificationOwner } from "../../core/notification.ts";
import { removeMember, setMemberRole } from "../../store/members.ts";
import {
  countUnread,
  listNotifications,
  markAllRead,
  markRead,
  notificationsAfter,
  purgeNotifications,
} from "../../store/notifications.ts";
import type { Db } from "../../store/open.ts";
import { isoOf, rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { changeUser } from "../../store/user-changes.ts";
import { forEachEngine } from "../store/engines.ts";
import { signingKeys, tenant } from "../store/fixtures.ts";
import { until } from "../support/wait.ts";
import { addPerson, joinOrganization, listBus, type NotifyScene, openNotifyScene, wanted } from "./notify-scene.ts";

const DAY = 86_400_000;
const listOf = async (db: Db, owner: NotificationOwner): Promise<Notification[]> =>
  (await listNotifications(db, owner, { limit: 2_000 })).items;
const titles = async (db: Db, owner: NotificationOwner): Promise<string[]> => (await listOf(db, owner)).map(({ title }) => title);
const timersLeft = (db: Db) => rowsOf<{ timer_key: string }>(db, "select timer_key from timers where kind = 'notification'");

async function sceneOf(db: Db, published: BusMessage[] = []): Promise<NotifyScene> {
  return await openNotifyScene(db, { keys: await signingKeys(db), bus: listBus(published) });
}

forEachEngine(({ test }) => {
  test("tells those members who are meant and may know it, and nobody else", async (db) => {
    await using scene = await sceneOf(db);
    const home = await tenant(db, "home");
    const other = await tenant(db, "other");
    const organizationId = home.organization.id;
    const people = {
      owner: home.user.id,
      operator: (await addPerson(db, organizationId, "operator")).id,
      viewer: (await addPerson(db, organizationId, "viewer")).id,
      guest: (await addPerson(db, organizationId, null)).id,
      idle: (await addPerson(db, organizationId, "viewer")).id,
      left: (await addPerson(db, organizationId, "viewer")).id,
      stranger: other.user.id,
    };
    await changeUser(db, people.idle, { isActive: false });
    await removeMember(db, organizationId, people.left, Date.now());
    const everyone = Object.values(people);
    await scene.notify(wanted(organizationId, { title: "everybody" }));
    await scene.notify(wanted(organizationId, { title: "users", to: { users: [...everyone, newId()] } }));
    await scene.notify(wanted(organizationId, { title: "may handle alerts", to: { permission: "alert.handle" } }));
    await scene.notify(wanted(organizationId, { title: "may rename", to: { permission: "organization.manage" } }));
    await scene.notify(wanted(organizationId, { title: "the stranger", to: { users: [people.stranger] } }));
    const told = await Promise.all(
      Object.entries(people).map(async ([name, userId]) => [name, await titles(db, { userId, organizationId })]),
    );
    assert.deepEqual(Object.fromEntries(told), {
      owner: ["may rename", "may handle alerts", "users", "everybody"],
      operator: ["may handle alerts", "users", "everybody"],
      viewer: ["users", "everybody"],
      guest: [],
      idle: [],
      left: [],
      stranger: [],
    });
    assert.deepEqual(await listOf(db, { userId: people.stranger, organizationId: other.organization.id }), []);
    // Whoever leaves takes the list along, and has none when they come back.
    await removeMember(db, organizationId, people.viewer, Date.now());
    await joinOrganization(db, organizationId, people.viewer);
    assert.deepEqual(await listOf(db, { userId: people.viewer, organizationId }), []);
    await setMemberRole(db, organizationId, people.viewer, null);
    await scene.notify(wanted(organizationId));
    assert.deepEqual(await listOf(db, { userId: people.viewer, organizationId }), []);
  });

  test("publishes what was committed, to each on their own topic, and nothing that was not", async (db) => {
    const published: BusMessage[] = [];
    await using scene = await sceneOf(db, published);
    const { organization, user } = await tenant(db, "home");
    const second = await addPerson(db, organization.id, "viewer");
    const failed = inTransaction(db, async (trx) => {
      await scene.notifier.notify(trx, wanted(organization.id, { title: "never" }));
      throw new Error("the automation failed");
    });
    await assert.rejects(failed, /the automation failed/);
    assert.deepEqual(await timersLeft(db), []);
    const more = { data: { mm: 3, text: "ünï\u2028\0" }, causationId: newId() };
    await scene.notify(wanted(organization.id, more));
    await until(async () => (await timersLeft(db)).length === 0, { what: "nothing left to be told" });
    const topics = published.map(({ topic }) => topic);
    const topicOf = (userId: string): string => `hexa-app/${organization.id}/users/${userId}/notifications`;
    assert.deepEqual(topics.toSorted(), [HUB_TOPICS.notifications, topicOf(user.id), topicOf(second.id)].toSorted());
    const message = published.find(({ topic }) => topic === topicOf(user.id));
    const [one] = await listOf(db, { userId: user.id, organizationId: organization.id });
    assert.ok(one && message);
    const event = JSON.parse(String(message.payload)) as Record<string, unknown> & { data: Record<string, unknown> };
    assert.deepEqual(
      [event["id"], event["subject"], event["correlationid"], event["causationid"], event.data["title"], event.data["data"], message.qos],
      [`${one.id}.1`, one.id, one.correlationId, more.causationId, "The cellar is wet", { mm: 3, text: "ünï\u2028\uFFFD" }, 1],
    );
    assert.deepEqual(scene.errors, []);
  });

  test("of one group what is unread and young is told anew and counted; what was read, or is old, is followed by another", async (db) => {
    await using scene = await sceneOf(db);
    const { organization, user } = await tenant(db, "home");
    const reader = await addPerson(db, organization.id, "viewer");
    const [owner, second] = [user.id, reader.id].map((userId) => ({ userId, organizationId: organization.id })) as [
      NotificationOwner,
      NotificationOwner,
    ];
    const tell = (title: string, groupKey = "cellar") => scene.notify(wanted(organization.id, { title, groupKey }));
    await tell("1 mm");
    await tell("attic", "attic");
    const [, first] = await listOf(db, second);
    await inTransaction(db, (trx) => markRead(trx, second, first?.id as string, Date.now()));
    await tell("2 mm");
    const seen = async (of: NotificationOwner) =>
      (await listOf(db, of)).map(({ title, count, seq, readAt }) => [title, count, seq, readAt !== null]);
    assert.deepEqual(await seen(owner), [
      ["2 mm", 2, 3, false],
      ["attic", 1, 2, false],
    ]);
    assert.deepEqual(await seen(second), [
      ["2 mm", 1, 3, false],
      ["attic", 1, 2, false],
      ["1 mm", 1, 1, true],
    ]);
    // Whoever has seen the second one is told what came behind it.
    assert.deepEqual(
      (await notificationsAfter(db, owner, 2, 10)).map(({ title }) => title),
      ["2 mm"],
    );
    await db("notifications").update({ created_at: isoOf(Date.now() - 11 * 60_000) });
    await tell("3 mm");
    assert.deepEqual((await seen(owner))[0], ["3 mm", 1, 4, false]);
    assert.equal(await countUnread(db, owner), 3);
    assert.equal(await inTransaction(db, (trx) => markAllRead(trx, owner, 3, Date.now())), 2);
    assert.equal(await countUnread(db, owner), 1);
  });

  test("of many at once each is told, numbered without a gap, and those of a group are one", async (db) => {
    await using scene = await sceneOf(db);
    const { organization, user } = await tenant(db, "home");
    for (let count = 0; count < 4; count++) await addPerson(db, organization.id, "viewer");
    const owner = { userId: user.id, organizationId: organization.id };
    const asked = Array.from({ length: 30 }, (_, index) =>
      scene.notify(wanted(organization.id, { title: `${index}`, ...(index % 3 === 0 ? { groupKey: "g" } : {}) })),
    );
    await Promise.all(asked);
    const all = await listOf(db, owner);
    assert.equal(all.length, 21);
    assert.deepEqual(
      all
        .map(({ count }) => count)
        .toSorted((a, b) => b - a)
        .slice(0, 2),
      [10, 1],
    );
    assert.equal(all[0]?.seq, 30);
    assert.equal(new Set(all.map(({ seq }) => seq)).size, 21);
  });

  test("keeps a thousand of each and the last 30 days", async (db) => {
    await using scene = await sceneOf(db);
    const { organization, user } = await tenant(db, "home");
    const owner = { userId: user.id, organizationId: organization.id };
    await inTransaction(db, async (trx) => {
      for (let index = 1; index <= 1_003; index++) await scene.notifier.notify(trx, wanted(organization.id, { title: `${index}` }));
    });
    const all = await titles(db, owner);
    assert.deepEqual([all.length, all[0], all.at(-1)], [1_000, "1003", "4"]);
    await db("notifications")
      .where("seq", "<=", 500)
      .update({ created_at: isoOf(Date.now() - 31 * DAY) });
    assert.equal(await purgeNotifications(db, Date.now()), 497);
    assert.equal((await listOf(db, owner)).length, 503);
  });

  test("what could not be told when it was committed is told by whoever finds it, unless it was read or the person has gone", async (db) => {
    const published: BusMessage[] = [];
    const { organization, user } = await tenant(db, "home");
    const [reader, leaver] = [await addPerson(db, organization.id, "viewer"), await addPerson(db, organization.id, "viewer")];
    const keys = await signingKeys(db);
    {
      const dead = { publish: () => Promise.reject(new Error("no broker")), subscribe: () => ({ [Symbol.dispose]: () => undefined }) };
      await using scene = await openNotifyScene(db, { keys, bus: dead });
      await scene.notify(wanted(organization.id));
      await until(() => scene.errors.length === 1, { what: "the attempt" });
    }
    const [unread] = await listOf(db, { userId: reader.id, organizationId: organization.id });
    await inTransaction(db, (trx) =>
      markRead(trx, { userId: reader.id, organizationId: organization.id }, unread?.id as string, Date.now()),
    );
    await removeMember(db, organization.id, leaver.id, Date.now());
    await using scene = await openNotifyScene(db, { keys, bus: listBus(published) });
    scene.timers.begin();
    await until(async () => (await timersLeft(db)).length === 0, { what: "what was left", timeoutMs: 20_000 });
    assert.deepEqual(
      published.map(({ topic }) => topic).filter((topic) => topic !== HUB_TOPICS.notifications),
      [`hexa-app/${organization.id}/users/${user.id}/notifications`],
    );
  });
});
