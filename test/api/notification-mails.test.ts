import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NewNotification } from "../../core/notification.ts";
import { SINGLE_CRITICAL_MAILS, SINGLE_MAILS } from "../../rules/notification-mails.ts";
import { removeMember } from "../../store/members.ts";
import { rowsOf } from "../../store/sql.ts";
import { addPerson, type NotifyScene, openNotifyScene, prefer, wanted } from "../rules/notify-scene.ts";
import { databases } from "../support/databases.ts";
import { type ReceivedMail, type SmtpServer, startSmtpServer } from "../support/smtp-server.ts";
import { until } from "../support/wait.ts";
import { startTestApi, type TestApi } from "./test-api.ts";

const EVERYTHING = { info: ["email"], warning: ["email"], critical: ["email"] };
const HOUR = 3_600_000;

interface Scene {
  readonly hub: TestApi;
  readonly smtp: SmtpServer;
  readonly scene: NotifyScene;
  readonly organizationId: string;
  readonly tell: (title: string, more?: Partial<NewNotification>) => Promise<void>;
  /** Somebody whose address was verified. */
  readonly person: (settings?: Record<string, unknown>) => Promise<{ id: string; email: string }>;
  /** When the waiting mails of somebody are to be written. */
  readonly dueAt: (userId: string) => Promise<number | undefined>;
  /** What was to be done later is due now. */
  readonly hurry: () => Promise<void>;
}

/** Quiet for the next hours, whenever the test runs. */
function quietNow(more: object = {}): object {
  const at = (ms: number): string => new Date(ms).toISOString().slice(11, 16);
  return { from: at(Date.now() - HOUR), to: at(Date.now() + 2 * HOUR), time_zone: "UTC", ...more };
}

for (const { name, skip, open } of databases())
  describe(`notifications by e-mail on ${name}`, { skip }, () => {
    const withMail = (work: (scene: Scene) => Promise<void>) => async (): Promise<void> => {
      await using database = await open();
      await using smtp = await startSmtpServer();
      await using hub = await startTestApi({ smtp: { url: smtp.url, from: "hub@hub.example" } }, database.url);
      const { context } = hub;
      const { db } = context.store;
      await using scene = await openNotifyScene(db, { ...context, clock: context.clock });
      const { organizationId } = await hub.member();
      scene.timers.begin();
      await work({
        hub,
        smtp,
        scene,
        organizationId,
        tell: (title, more) => scene.notify(wanted(organizationId, { title, ...more })),
        async person(settings = { channels: EVERYTHING }) {
          const one = await addPerson(db, organizationId, "viewer");
          await prefer(db, { userId: one.id, organizationId }, settings);
          return one;
        },
        async dueAt(userId) {
          const [row] = await rowsOf<{ due_at: string }>(db, "select due_at from timers where timer_key = ?", [
            `mail:${organizationId}:${userId}`,
          ]);
          return row && Date.parse(row.due_at);
        },
        async hurry() {
          await rowsOf(db, "update timers set due_at = ? where timer_key like 'mail:%'", [new Date(Date.now() - HOUR).toISOString()]);
        },
      });
      assert.deepEqual(scene.errors, []);
    };
    const subjects = (mails: readonly ReceivedMail[], to: string): string[] =>
      mails.filter((mail) => mail.to.includes(to)).map(({ headers }) => headers.get("subject") ?? "");

    test(
      "come for what the person wants, to an address that was verified, and to nobody who has left",
      withMail(async ({ hub, smtp, person, tell, organizationId }) => {
        const { db } = hub.context.store;
        const [ann, preset, none, unverified, leaver] = [
          await person({ channels: { warning: ["email"] } }),
          await person({}),
          await person({ channels: { critical: [] } }),
          await person(),
          await person(),
        ];
        await db("users").where({ id: unverified.id }).update({ is_email_verified: false });
        await tell("a warning\r\nBcc: x@example.org", {
          to: { users: [ann.id, preset.id, none.id, unverified.id] },
          body: "first line\nsecond line",
        });
        await tell("a crisis", { severity: "critical", to: { users: [ann.id, preset.id, none.id, unverified.id] } });
        await tell("a remark", { severity: "info", to: { users: [ann.id, preset.id] } });
        const [first] = [await smtp.mailTo(ann.email, 1), await smtp.mailTo(ann.email, 2), await smtp.mailTo(preset.email)];
        assert.match(first.text, /\n\[warning\] a warning Bcc: x@example\.org\nfirst line\nsecond line\n\d{4}-/);
        assert.deepEqual(subjects(smtp.mails, ann.email), ["[warning] a warning Bcc: x@example.org", "[critical] a crisis"]);
        assert.deepEqual(subjects(smtp.mails, preset.email), ["[critical] a crisis"]);
        // What was sent and is not noted yet would be sent again when its time is over.
        const sent = async () => (await rowsOf(db, "select 1 from mails where outcome = 'sent'")).length === 3;
        await until(sent, { what: "three mails that are noted as sent" });
        // Written, and not sent, since the person left or has read it before.
        smtp.behave({ kind: "answers", at: "rcpt", code: 451 });
        await tell("too late", { to: { users: [leaver.id, ann.id] } });
        // While one is under way its next attempt is farther off than when it was refused.
        const soon = () => new Date(Date.now() + 20_000).toISOString();
        const refused = "select 1 from mails where attempts > 0 and ended_at is null and next_attempt_at < ?";
        const retried = async () => (await rowsOf(db, refused, [soon()])).length === 2;
        await until(retried, { what: "two mails that were not taken" });
        await removeMember(db, organizationId, leaver.id, Date.now());
        await db("notifications").where({ user_id: ann.id }).update({ read_at: new Date().toISOString() });
        smtp.behave({ kind: "accepts" });
        hub.time.aheadMs = 60_000;
        hub.context.mailer.wake();
        const unneeded = async () => (await rowsOf(db, "select 1 from mails where outcome = 'unneeded'")).length === 2;
        await until(unneeded, { what: "mails that are not sent any more" });
        assert.equal(smtp.mails.length, 3, JSON.stringify(smtp.mails.map(({ to, headers }) => [to, headers.get("subject")])));
      }),
    );

    test(
      "come one by one until they are many, then together; what is told anew comes again only when it is graver",
      withMail(async ({ hub, smtp, person, tell, dueAt, hurry }) => {
        const ann = await person();
        const to = { users: [ann.id] };
        for (let count = 1; count <= SINGLE_MAILS + 3; count++) await tell(`no ${count}`, { to });
        await tell("again", { to, groupKey: "g" });
        await tell("again and again", { to, groupKey: "g" });
        const due = (await dueAt(ann.id)) ?? 0;
        assert.ok(due > Date.now() + 590_000 && due < Date.now() + 601_000, new Date(due).toISOString());
        await smtp.mailTo(ann.email, SINGLE_MAILS);
        await hurry();
        const digest = await smtp.mailTo(ann.email, SINGLE_MAILS + 1);
        assert.equal(digest.headers.get("subject"), "4 notifications, the gravest warning: again and again");
        assert.match(
          digest.text,
          /\[warning\] again and again\n3 mm since noon\n\d{4}-\d\d-\d\d \d\d:\d\d UTC, 2 times\n\n\[warning\] no 8\n/,
        );
        assert.equal(smtp.mails.length, SINGLE_MAILS + 1);
        const { db } = hub.context.store;
        const lately = new Date(Date.now() - 601_000).toISOString();
        await db("notifications").whereNotNull("mailed_at").update({ mailed_at: lately });
        await tell("as before", { to, groupKey: "g" });
        await tell("worse", { to, groupKey: "g", severity: "critical" });
        await smtp.mailTo(ann.email, SINGLE_MAILS + 2);
        assert.equal(subjects(smtp.mails, ann.email).at(-1), "[critical] worse");
        assert.equal(smtp.mails.length, SINGLE_MAILS + 2);
        assert.equal(await dueAt(ann.id), undefined);
      }),
    );

    test(
      "wait until the quiet hours end, but for critical ones, and are forgotten when they were read meanwhile",
      withMail(async ({ hub, smtp, person, tell, dueAt, hurry, organizationId }) => {
        const { db } = hub.context.store;
        const quiet = { channels: EVERYTHING, quiet_hours: quietNow() };
        const [ann, strict, reader] = [
          await person(quiet),
          await person({ channels: EVERYTHING, quiet_hours: quietNow({ critical_waits: true }) }),
          await person(quiet),
        ];
        await tell("a warning");
        await tell("a remark", { severity: "info" });
        await tell("a crisis", { severity: "critical" });
        await smtp.mailTo(ann.email);
        await smtp.mailTo(reader.email);
        const due = (await dueAt(ann.id)) ?? 0;
        assert.ok(due > Date.now() + 2 * HOUR - 61_000 && due <= Date.now() + 2 * HOUR && due % 60_000 === 0, new Date(due).toISOString());
        // Everything stands in the list at once.
        const [{ n } = { n: 0 }] = await rowsOf<{ n: number }>(db, "select count(*) as n from notifications where user_id = ?", [ann.id]);
        assert.equal(n, 3);
        await db("notifications").where({ user_id: reader.id }).update({ read_at: new Date().toISOString() });
        // It is quiet still.
        await hurry();
        await tell("a sign of life", { severity: "critical", to: { users: [ann.id] } });
        await until(async () => ((await dueAt(ann.id)) ?? 0) > Date.now() && ((await dueAt(strict.id)) ?? 0) > Date.now(), {
          what: "another look",
          timeoutMs: 20_000,
        });
        await smtp.mailTo(ann.email, 2);
        assert.deepEqual(subjects(smtp.mails, strict.email), []);
        for (const { id } of [ann, strict]) await prefer(db, { userId: id, organizationId }, { channels: EVERYTHING });
        await hurry();
        await smtp.mailTo(ann.email, 3);
        await smtp.mailTo(strict.email);
        assert.deepEqual(subjects(smtp.mails, ann.email), [
          "[critical] a crisis",
          "[critical] a sign of life",
          "2 notifications, the gravest warning: a warning",
        ]);
        assert.deepEqual(subjects(smtp.mails, strict.email), ["3 notifications, the gravest critical: a crisis"]);
        await until(async () => (await dueAt(reader.id)) === undefined, { what: "nothing left for who has read it" });
        assert.deepEqual(subjects(smtp.mails, reader.email), ["[critical] a crisis"]);
      }),
    );

    test(
      "come from no source that the person has muted, nor does anything else of it, but for what is critical unless that was muted too",
      withMail(async ({ hub, smtp, person, tell }) => {
        const cellar = { kind: "alert", id: "cellar" };
        const ann = await person({ channels: EVERYTHING, muted_sources: [cellar, { kind: "task" }] });
        const bob = await person({ channels: EVERYTHING, muted_sources: [{ ...cellar, including_critical: true }] });
        const to = { users: [ann.id, bob.id] };
        await tell("muted", { to });
        await tell("muted too", { to: { users: [ann.id] }, source: { kind: "task", id: "t" } });
        await tell("drowned", { to, severity: "critical" });
        await tell("heard", { to, source: { kind: "alert", id: "attic" } });
        await smtp.mailTo(ann.email, 2);
        await smtp.mailTo(bob.email);
        assert.deepEqual(subjects(smtp.mails, ann.email), ["[critical] drowned", "[warning] heard"]);
        assert.deepEqual(subjects(smtp.mails, bob.email), ["[warning] heard"]);
        const told = async ({ id }: { id: string }) => (await hub.context.store.db("notifications").where({ user_id: id })).length;
        assert.deepEqual([await told(ann), await told(bob)], [2, 1]);
      }),
    );

    test(
      "of what is critical come one by one however much else waits, until they are many themselves",
      withMail(async ({ hub, smtp, person, tell, dueAt }) => {
        const { db } = hub.context.store;
        const ann = await person();
        const to = { users: [ann.id] };
        for (let count = 1; count <= SINGLE_MAILS + 1; count++) await tell(`no ${count}`, { to });
        assert.ok(await dueAt(ann.id), "the last one waits");
        // As a digest of many has left it.
        for (let count = 1; count <= SINGLE_CRITICAL_MAILS; count++) await tell(`old ${count}`, { to });
        await db("notifications").where({ user_id: ann.id }).update({ mail_state: "written", mailed_at: new Date().toISOString() });
        for (let count = 1; count <= SINGLE_CRITICAL_MAILS + 1; count++) await tell(`crisis ${count}`, { to, severity: "critical" });
        await smtp.mailTo(ann.email, SINGLE_MAILS + SINGLE_CRITICAL_MAILS);
        const critical = subjects(smtp.mails, ann.email).filter((subject) => subject.startsWith("[critical]"));
        assert.equal(critical.length, SINGLE_CRITICAL_MAILS);
        const waiting = (await db("notifications").where({ user_id: ann.id, mail_state: "waiting" })) as { title: string }[];
        assert.deepEqual(
          waiting.map(({ title }) => title),
          [`crisis ${SINGLE_CRITICAL_MAILS + 1}`],
        );
      }),
    );
  });
