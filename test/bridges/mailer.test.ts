import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMailer, type HubMailer } from "../../bridges/mail/mailer.ts";
import { createSmtp } from "../../bridges/mail/smtp.ts";
import { createDuties } from "../../broker/duties.ts";
import { createMetrics } from "../../api/metrics.ts";
import type { Bus, Log } from "../../core/bus.ts";
import { purgeMails, queueMail } from "../../store/mails.ts";
import { type Db, openStore } from "../../store/open.ts";
import { createOrganization } from "../../store/organizations.ts";
import { signingKeys } from "../store/fixtures.ts";
import { databases } from "../support/databases.ts";
import { freePort } from "../support/services.ts";
import { type SmtpServer, startSmtpServer, tokenIn } from "../support/smtp-server.ts";
import { temporaryFolder, until } from "../support/wait.ts";

const TOKEN = `hxv_${"T".repeat(43)}`;
const HOUR = 3_600_000;

interface Desk {
  readonly db: Db;
  /** One more that sends the same mails. */
  readonly another: () => HubMailer;
  /** Writes one that carries a token. */
  readonly write: (recipient: string, ttlMs?: number) => Promise<void>;
  readonly rows: () => Promise<{ recipient: string; outcome: string | null; attempts: number; content_sealed: string | null }[]>;
  /** Waits until the mail's row has this outcome. */
  readonly ended: (recipient: string, outcome: string) => Promise<void>;
  /** Waits until so many attempts have failed. */
  readonly retried: (times: number) => Promise<void>;
  readonly advance: (ms: number) => void;
  readonly logged: { readonly data: Record<string, unknown>; readonly message: string }[];
  readonly metrics: () => Promise<string>;
}

const silentBus: Bus = { publish: async () => {}, subscribe: () => ({ [Symbol.dispose]: () => undefined }) };

for (const { name, skip, open } of databases()) {
  describe(`mails on ${name}`, { skip }, () => {
    async function atDesk(url: string, work: (desk: Desk) => Promise<void>): Promise<void> {
      await using database = await open();
      await using folder = temporaryFolder();
      await using store = await openStore({ dataDir: folder.path, databaseUrl: database.url });
      const { db } = store;
      const keys = await signingKeys(db);
      await createOrganization(db, { name: "Home" });
      const logged: Desk["logged"] = [];
      const note = (data: object, message: string) => void logged.push({ data: data as Record<string, unknown>, message });
      const log: Log = { debug: note, info: note, warn: note, error: note };
      const metrics = createMetrics();
      let aheadMs = 0;
      const clock = (): number => Date.now() + aheadMs;
      const deliver = createSmtp({ url, from: "Hexahub <hub@hub.example>", connectMs: 700, silenceMs: 700 });
      const another = (): HubMailer => {
        const made = createMailer({ db, keys, duties: createDuties(undefined, log), bus: silentBus, deliver, log, metrics, clock });
        made.begin("https://hub.example/");
        return made;
      };
      await using mailer = another();
      const rows: Desk["rows"] = () => db("mails").orderBy("id");
      await work({
        db,
        another,
        rows,
        logged,
        metrics: () => metrics.text(),
        async write(recipient, ttlMs = HOUR) {
          await queueMail(db, keys, { recipient, mail: { kind: "registration", token: TOKEN, address: "203.0.113.7" }, ttlMs }, clock());
          mailer.wake();
        },
        async ended(recipient, outcome) {
          await until(async () => (await rows()).some((row) => row.recipient === recipient && row.outcome === outcome), {
            what: `${outcome}: ${recipient}`,
          });
        },
        async retried(times) {
          const isRetry = ({ message }: { message: string }) => message.includes("it is tried again");
          await until(() => logged.filter(isRetry).length >= times, { what: `${times} attempts that failed` });
        },
        advance(ms) {
          aheadMs += ms;
          mailer.wake();
        },
      });
      // Whatever went wrong, the log tells neither to whom it was nor what was in it.
      assert.doesNotMatch(JSON.stringify(logged), /hxv_|@example/);
    }

    const withServer =
      (work: (desk: Desk, smtp: SmtpServer) => Promise<void>, account?: { user: string; password: string }) => async () => {
        await using smtp = await startSmtpServer(account ? { account } : {});
        await atDesk(smtp.url, (desk) => work(desk, smtp));
      };

    test(
      "a mail is sent at once, counted, and what it said forgotten",
      withServer(async ({ write, ended, rows, metrics, db }, smtp) => {
        await write("ada@example.com");
        const mail = await smtp.mailTo("ada@example.com");
        assert.equal(tokenIn(mail), TOKEN);
        assert.ok(mail.text.includes(`https://hub.example/auth/verify-email#token=${TOKEN}\n`), mail.text);
        assert.match(mail.text, /from 203\.0\.113\.7/);
        await ended("ada@example.com", "sent");
        const [row] = await rows();
        assert.deepEqual([row?.attempts, row?.content_sealed], [1, null]);
        assert.match(await metrics(), /hexahub_mails_total\{kind="registration",outcome="sent"\} 1/);
        assert.equal(await purgeMails(db, Date.now() + 6 * 24 * HOUR), 0);
        assert.equal(await purgeMails(db, Date.now() + 8 * 24 * HOUR), 1);
      }),
    );

    test(
      "an answer of 4xx is asked again: after ten seconds, a minute, five minutes",
      withServer(async ({ write, ended, retried, advance, rows }, smtp) => {
        smtp.behave({ kind: "answers", at: "rcpt", code: 451 });
        await write("ada@example.com");
        let tries = 0;
        for (const waitMs of [10_000, 60_000, 300_000]) {
          await retried(++tries);
          advance(waitMs - 5_000);
          assert.equal((await rows())[0]?.attempts, tries, "not before its time");
          if (tries === 3) smtp.behave({ kind: "accepts" });
          advance(5_001);
        }
        await ended("ada@example.com", "sent");
        assert.equal(smtp.mails.length, 1);
      }),
    );

    for (const at of ["mail", "rcpt", "data"] as const)
      test(
        `an answer of 5xx to ${at} ends it`,
        withServer(async ({ write, ended, rows, logged }, smtp) => {
          smtp.behave({ kind: "answers", at, code: 550 });
          await write("ada@example.com");
          await ended("ada@example.com", "refused");
          assert.deepEqual(
            (await rows()).map(({ attempts, content_sealed }) => [attempts, content_sealed]),
            [[1, null]],
          );
          assert.ok(logged.some(({ data, message }) => data["smtp_code"] === 550 && message.includes("refused")));
          smtp.behave({ kind: "accepts" });
          await write("grace@example.com");
          await smtp.mailTo("grace@example.com");
          assert.equal(smtp.mails.length, 1);
        }),
      );

    for (const [what, behaviour] of [
      ["says nothing when it is called", { kind: "hangs", at: "greeting" }],
      ["says nothing when it has the mail", { kind: "hangs", at: "data" }],
      ["ends the connection in the middle", { kind: "closes" }],
      ["wants nobody right now", { kind: "answers", at: "greeting", code: 554 }],
    ] as const)
      test(
        `a server that ${what} loses nothing`,
        withServer(async ({ write, ended, retried, advance }, smtp) => {
          smtp.behave(behaviour);
          await write("ada@example.com");
          await retried(1);
          smtp.behave({ kind: "accepts" });
          advance(10_001);
          await ended("ada@example.com", "sent");
          assert.equal(smtp.mails.length, 1);
        }),
      );

    test("a server that is not there loses nothing", async () => {
      const port = await freePort();
      await atDesk(`smtp://127.0.0.1:${port}`, async ({ write, ended, retried, advance }) => {
        await write("ada@example.com");
        await retried(1);
        await using smtp = await startSmtpServer({ port });
        advance(10_001);
        await smtp.mailTo("ada@example.com");
        await ended("ada@example.com", "sent");
      });
    });

    test(
      "a mail that nobody took until its token ended is given up",
      withServer(async ({ write, ended, retried, advance, rows }, smtp) => {
        smtp.behave({ kind: "answers", at: "data", code: 421 });
        await write("ada@example.com", 60_000);
        await retried(1);
        advance(10_001);
        await retried(2);
        smtp.behave({ kind: "accepts" });
        advance(60_000);
        await ended("ada@example.com", "expired");
        assert.equal((await rows())[0]?.content_sealed, null);
        assert.deepEqual(smtp.mails, []);
      }),
    );

    test(
      "a mail that hangs holds up no other one",
      withServer(async ({ write, ended }, smtp) => {
        smtp.behave({ kind: "hangs", at: "data" });
        await write("slow@example.com");
        await until(() => smtp.connections === 1, { what: "the first mail to be under way" });
        smtp.behave({ kind: "accepts" });
        for (let count = 0; count < 10; count++) await write(`p${count}@example.com`);
        for (let count = 0; count < 10; count++) await smtp.mailTo(`p${count}@example.com`);
        await ended("p9@example.com", "sent");
      }),
    );

    test("a mail server that asks who is there is told; a wrong password is no reason to lose a mail", async () => {
      const account = { user: "hub", password: "p@ss:word/1" };
      await using smtp = await startSmtpServer({ account });
      await atDesk(smtp.url, async ({ write, ended }) => {
        await write("ada@example.com");
        assert.equal((await smtp.mailTo("ada@example.com")).user, "hub");
        await ended("ada@example.com", "sent");
      });
      for (const url of [`smtp://hub:wrong@127.0.0.1:${smtp.port}`, `smtp://127.0.0.1:${smtp.port}`])
        await atDesk(url, async ({ write, retried, rows, logged }) => {
          await write("grace@example.com");
          await retried(1);
          assert.deepEqual(
            (await rows()).map(({ outcome }) => outcome),
            [null],
          );
          assert.doesNotMatch(JSON.stringify(logged), /wrong@|p@ss/);
        });
    });

    test("two that send at the same time, as when a node takes over from one that only froze, send each mail once", async () => {
      await using smtp = await startSmtpServer();
      await atDesk(smtp.url, async ({ another, write, rows }) => {
        await using other = another();
        for (let count = 0; count < 40; count++) {
          await write(`p${count}@example.com`);
          other.wake();
        }
        await until(async () => (await rows()).every(({ outcome }) => outcome === "sent"), { what: "all mails to be sent" });
        assert.equal(smtp.mails.length, 40);
      });
    });
  });
}
