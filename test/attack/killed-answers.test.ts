import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import pg from "pg";
import { newId } from "../../core/id.ts";
import { databases } from "../support/databases.ts";
import { type HubProcess, spawnHub } from "../support/hub.ts";
import { temporaryFolder } from "../support/wait.ts";

/** How many have to be under way when the hub dies, so that some of them are between their effect and their answer. */
const AT_ONCE = 12;
const ROUNDS = 6;
const MAX_ROUNDS = 40;
/** A commit of PostgreSQL takes so long, so that the hub can die in the middle of one. */
const COMMIT_SECONDS = 0.03;

for (const { name: database, skip, open } of databases())
  describe(`${database}: a hub that is killed between an effect and its answer`, { skip }, () => {
    test("does nothing twice for whoever asks again with the same key, and gives the answer", { timeout: 300_000 }, async (context) => {
      await using place = await open();
      await using folder = temporaryFolder();
      const start = () => spawnHub({ dataDir: folder.path, databaseUrl: place.url });
      const token = await scriptToken(await start());
      await using watch = place.url === undefined ? embeddedWatch(folder.path) : await postgresWatch(place.url);
      const counts = { answered: 0, unanswered: 0, untouched: 0, rounds: 0 };
      const made = new Set<string>();
      for (let round = 0; round < ROUNDS || (counts.unanswered === 0 && round < MAX_ROUNDS); round++) {
        counts.rounds++;
        const keys = Array.from({ length: AT_ONCE }, () => newId());
        const first = await askAndKill(await start(), token, keys, round % AT_ONCE, (answered) => watch.sees(made.size + answered));
        await using hub = await start();
        const known = await enrolled(hub, token, keys);
        for (const key of keys) {
          const again = await enrol(hub, token, key);
          assert.equal(again.status, 201, again.text);
          const before = first.get(key);
          if (before !== undefined) {
            counts.answered++;
            assert.deepEqual([again.text, again.isReplayed], [before, true], "another answer than the first");
          } else if (known.has(key)) {
            counts.unanswered++;
            assert.ok(again.isReplayed, "done, and done again");
          } else {
            counts.untouched++;
            assert.ok(!again.isReplayed);
          }
          made.add(key);
        }
        const now = await enrolled(hub, token, keys);
        assert.deepEqual(
          [...now.values()],
          keys.map(() => 1),
        );
      }
      context.diagnostic(JSON.stringify(counts));
      assert.ok(counts.unanswered > 0, `no effect was without its answer: ${JSON.stringify(counts)}`);
      assert.equal(made.size, counts.rounds * AT_ONCE);
    });
  });

/** It outlives the hub that made it. */
async function scriptToken(starting: HubProcess): Promise<string> {
  await using hub = starting;
  const { api } = await loggedIn(hub);
  return (await api.call<{ token: string }>("POST", "/api/v1/access-tokens", { kind: "personal", name: "script" })).body.token;
}

async function loggedIn(hub: HubProcess): Promise<HubProcess> {
  await hub.api.login();
  return hub;
}

/** Sees from outside whether the hub has an effect that it has not answered. */
interface Watch extends AsyncDisposable {
  /** So many devices are answered. */
  sees: (answered: number) => boolean | Promise<boolean>;
}

function embeddedWatch(dataDir: string): Watch {
  const db = new DatabaseSync(join(dataDir, "hexahub.db"), { readOnly: true });
  const devices = db.prepare("SELECT count(*) AS count FROM devices");
  return { sees: (answered) => Number(devices.get()?.["count"]) > answered, [Symbol.asyncDispose]: async () => db.close() };
}

/** Whoever commits a new device waits in the middle of it, with or without a hub that is there to hear of it. */
async function postgresWatch(url: string): Promise<Watch> {
  const db = new pg.Client(url);
  await db.connect();
  await db.query(
    `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${COMMIT_SECONDS}); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON devices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()`,
  );
  const committing = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
  return { sees: async () => (await db.query(committing)).rowCount !== 0, [Symbol.asyncDispose]: () => db.end() };
}

/** The answers that came, by their keys, when the hub dies after so many of them and with one that is yet to come. */
async function askAndKill(
  hub: HubProcess,
  token: string,
  keys: readonly string[],
  after: number,
  sees: Watch["sees"],
): Promise<Map<string, string>> {
  await using _ended = hub;
  const answers = new Map<string, string>();
  const asked = keys.map((key) =>
    enrol(hub, token, key).then(
      ({ status, text }) => {
        assert.equal(status, 201, text);
        answers.set(key, text);
      },
      // The connection went with the hub.
      () => undefined,
    ),
  );
  // Looked at in each turn of the loop: what is between the two is over in less than the pause of a poll.
  while (answers.size < after || (answers.size < keys.length && !(await sees(answers.size)))) await turn();
  await hub.kill9();
  await Promise.all(asked);
  return answers;
}

async function enrol(hub: HubProcess, token: string, key: string): Promise<{ status: number; text: string; isReplayed: boolean }> {
  const response = await fetch(new URL("/api/v1/devices", hub.http), {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}`, "idempotency-key": key },
    body: JSON.stringify({ name: key, device_class: "relay_controller" }),
  });
  return { status: response.status, text: await response.text(), isReplayed: response.headers.get("idempotency-replayed") === "true" };
}

/** How many devices there are of each key. */
async function enrolled(hub: HubProcess, token: string, keys: readonly string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const key of keys) {
    const response = await fetch(new URL(`/api/v1/devices?search=${key}`, hub.http), { headers: { authorization: `Bearer ${token}` } });
    const { data } = (await response.json()) as { data: unknown[] };
    if (data.length > 0) counts.set(key, data.length);
  }
  return counts;
}
