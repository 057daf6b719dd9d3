import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import { fingerprintOf } from "../../core/canonical-json.ts";
import { newAudit } from "../../core/event.ts";
import { loadMasterKey } from "../../store/secrets.ts";
import { insertAudit } from "../../store/audit.ts";
import { loadChainKey } from "../../store/audit-chain.ts";
import { hexahub } from "../cli/command-line.ts";
import { sealAll, writeAudit } from "../store/audit-rows.ts";
import { databases } from "../support/databases.ts";
import { until } from "../support/wait.ts";
import { startHub } from "../support/hub.ts";
import { assertEnvelope, field, OPERATOR, startTestApi, type TestApi } from "./test-api.ts";

interface Entry {
  readonly id: string;
  readonly action: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly organization_id: string | null;
  readonly resource_id: string | null;
  readonly details: Record<string, unknown>;
  readonly before_hash: string | null;
  readonly after_hash: string | null;
  readonly created_at: string;
  readonly chain_seq: number | null;
  readonly chain_hash: string | null;
}

interface Place {
  readonly hub: TestApi;
  readonly owner: { token: string; userId: string; organizationId: string };
  readonly list: (token: string, query?: string) => Promise<Entry[]>;
}

for (const { name, skip, open } of databases()) {
  describe(`the audit on ${name}`, { skip }, () => {
    async function inPlace(work: (place: Place) => Promise<void>): Promise<void> {
      await using database = await open();
      await using hub = await startTestApi({}, database.url);
      const list = async (token: string, query = ""): Promise<Entry[]> => {
        const answer = await hub.ask("GET", `/api/v1/audit?limit=200${query}`, { token });
        assert.equal(answer.status, 200, answer.text);
        return answer.json["data"] as Entry[];
      };
      await work({ hub, owner: await hub.member(), list });
    }
    const addDevice = async (hub: TestApi, token: string) => {
      const made = await hub.ask("POST", "/api/v1/devices", { token, body: { name: "Lamp", device_class: "relay_controller" } });
      return made.json["device"] as Record<string, unknown> & { id: string };
    };

    test("tells what a thing was and is by hashes of what the API shows of it", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const { token } = owner;
        const made = await addDevice(hub, token);
        const changed = await hub.ask("PATCH", `/api/v1/devices/${made.id}`, { token, body: { name: "Hall" } });
        const [update, create] = await list(token, `&resource_type=device&resource_id=${made.id}`);
        assert.deepEqual([create?.action, create?.before_hash, create?.after_hash], ["device.create", null, fingerprintOf(made)]);
        assert.deepEqual(
          [update?.action, update?.before_hash, update?.after_hash],
          ["device.update", fingerprintOf(made), fingerprintOf(changed.json["device"])],
        );
        await hub.ask("PATCH", `/api/v1/organizations/${owner.organizationId}`, { token, body: { name: "Villa" } });
        const [renamed] = await list(token, "&action=organization.update");
        assert.ok(renamed?.before_hash && renamed.after_hash && renamed.before_hash !== renamed.after_hash);
      });
    });

    test("is filtered by who, what, which request and when, and shows where a row stands in the chain", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const { db } = hub.context.store;
        const about = { organizationId: owner.organizationId, resourceType: "scene", resourceId: "s-1", details: {} };
        const now = Date.now() - 1_000;
        const rows = [
          newAudit({ ...about, actor: { kind: "user", id: "u-1" }, action: "scene.run", requestId: "r-1", now }),
          newAudit({ ...about, actor: { kind: "rule", id: "u-1" }, action: "scene.run", correlationId: "c-1", now: now + 10 }),
          newAudit({ ...about, actor: { kind: "user", id: "u-2" }, action: "scene.stop", resourceType: "room", now: now + 20 }),
        ];
        await insertAudit(db, rows);
        const found = async (query: string) => (await list(owner.token, query)).map(({ id }) => rows.findIndex((row) => row.id === id));
        assert.deepEqual(await found("&resource_id=s-1"), [2, 1, 0]);
        assert.deepEqual(await found("&action=scene.run"), [1, 0]);
        assert.deepEqual(await found("&resource_type=room"), [2]);
        assert.deepEqual(await found("&actor_kind=rule"), [1]);
        assert.deepEqual(await found("&actor_kind=user&actor_id=u-1"), [0]);
        assert.deepEqual(await found("&request_id=r-1"), [0]);
        assert.deepEqual(await found("&correlation_id=c-1"), [1]);
        assert.deepEqual(await found(`&resource_id=s-1&from=${now + 10}&to=${now + 20}`), [1]);
        assert.deepEqual(await found(`&from=${new Date(now + 20).toISOString()}&resource_id=s-1`), [2]);
        assertEnvelope(await hub.ask("GET", "/api/v1/audit?from=yesterday", { token: owner.token }), 400, "validation_error");
        assert.ok((await list(owner.token)).every(({ chain_seq, chain_hash }) => chain_seq === null && chain_hash === null));
        await sealAll(db, await keyOf(hub));
        const sealed = await list(owner.token);
        assert.deepEqual(
          sealed.map(({ chain_seq }) => chain_seq),
          sealed.map((_, index) => sealed.length - index),
        );
      });
    });

    test("is reported by action, by actor and by day, and only as far as it was asked for", async () => {
      await inPlace(async ({ hub, owner }) => {
        const { db } = hub.context.store;
        const stranger = await hub.member();
        await writeAudit(db, owner.organizationId, 11);
        await writeAudit(db, stranger.organizationId, 3);
        for (let attempt = 0; attempt < 2; attempt++)
          await hub.ask("POST", "/api/v1/organizations", { token: owner.token, body: { name: "Mine" } });
        const report = async (query = "", token = owner.token) => await hub.ask("GET", `/api/v1/audit/report${query}`, { token });
        const { json } = await until(async () => ((await report()).json["total"] === 13 ? await report() : undefined), {
          what: "the refused requests in the audit",
        });
        const counts = (list: unknown) =>
          Object.fromEntries((list as { action: string; count: number }[]).map(({ action, count }) => [action, count]));
        assert.deepEqual(counts(json["actions"]), {
          "test.0": 3,
          "test.1": 2,
          "test.2": 2,
          "test.3": 2,
          "test.4": 2,
          "request.forbidden": 2,
        });
        assert.deepEqual(counts(json["security"]), { "request.forbidden": 2 });
        const actors = (json["actors"] as { id: string; count: number }[]).map(({ id, count }) => [id, count]);
        assert.deepEqual(actors.slice(0, 2), [
          ["u-0", 4],
          ["u-1", 4],
        ]);
        assert.ok(actors.some(([id, count]) => id === owner.userId && count === 2));
        const days = json["days"] as { day: string; count: number }[];
        assert.equal(
          days.reduce((sum, { count }) => sum + count, 0),
          13,
        );
        assert.ok(String(json["first_at"]) <= String(json["last_at"]));
        const before = await report(`?to=${encodeURIComponent(String(json["first_at"]))}`);
        assert.deepEqual([before.json["total"], before.json["first_at"], before.json["days"]], [0, null, []]);
        assertEnvelope(await report("?from=2026-01-01&to=2025-01-01"), 400, "validation_error");
        assertEnvelope(await report("?from=2024-01-01&to=2026-01-01"), 400, "validation_error");
        assertEnvelope(await report("", (await joinAs(hub, owner, "viewer")).token), 403, "forbidden");
      });
    });

    test("is exported whole and in order, as lines of JSON and as CSV without formulas, to its organisation alone", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const { db } = hub.context.store;
        const stranger = await hub.member();
        const ids = await writeAudit(db, owner.organizationId, 450);
        await writeAudit(db, stranger.organizationId, 5);
        const evil = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'plain, "quoted"\nline'];
        const about = { organizationId: owner.organizationId, actor: { kind: "user", id: "u" } as const, resourceType: "x", details: {} };
        await insertAudit(
          db,
          evil.map((resourceId) => newAudit({ ...about, action: "evil", resourceId, now: Date.now() })),
        );
        await sealAll(db, await keyOf(hub));
        const file = (query: string, token = owner.token) => hub.ask("GET", `/api/v1/audit/export${query}`, { token });
        const lines = await file("");
        assert.deepEqual([lines.status, lines.headers.get("content-type")], [200, "application/x-ndjson"]);
        assert.match(lines.headers.get("content-disposition") ?? "", /^attachment; filename="audit-\d{4}-\d\d-\d\d\.ndjson"$/);
        const rows = lines.text
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as Entry)
          // It may find itself.
          .filter(({ action }) => action !== "audit.export");
        assert.deepEqual(
          rows.slice(0, 450).map(({ id }) => id),
          ids,
        );
        assert.deepEqual(
          rows.map(({ chain_seq }) => chain_seq),
          rows.map((_, index) => index + 1),
        );
        assert.deepEqual(rows[0], (await list(owner.token, "&action=test.0&resource_type=device")).at(-1));
        assert.ok(rows.every(({ organization_id }) => organization_id === owner.organizationId));

        const csv = await file("?format=csv&action=evil");
        assert.match(csv.headers.get("content-type") ?? "", /^text\/csv/);
        const cells = [...csv.text.matchAll(/,x,("(?:[^"]|"")*"|[^,]*),/g)].map(([, cell = ""]) => cell);
        assert.deepEqual(cells, [
          '"\'=HYPERLINK(""http://x"")"',
          "'+1",
          "'-1",
          "'@SUM(A1)",
          "'\t=1",
          '"\'\r=1"',
          '"plain, ""quoted""\nline"',
        ]);
        assert.match(csv.text, /^id,organization_id,chain_seq,created_at,.*\r\n/);
        assert.equal((await file("?action=nothing")).text, "");
        assertEnvelope(await file("?format=xml"), 400, "validation_error");
        assert.equal((await file("?resource_type=device", stranger.token)).text.trimEnd().split("\n").length, 5);
        await until(async () => (await list(owner.token, "&action=audit.export")).length > 0, { what: "the export in the audit" });
      });
    });

    test("an export that fails on its way ends its connection, one that fails before it is an error, and one that nobody reads ends", async () => {
      await inPlace(async ({ hub, owner }) => {
        const { db } = hub.context.store;
        await writeAudit(db, owner.organizationId, 6_000);
        const path = `${hub.api.url}/api/v1/audit/export`;
        const ask = async (): Promise<IncomingMessage> => {
          const request = get(path, { headers: { authorization: `Bearer ${owner.token}` }, agent: false });
          const [response] = (await once(request, "response")) as [IncomingMessage];
          return response;
        };
        // Two megabytes: more than the sockets hold, so that the hub has to wait for the reader.
        const response = await ask();
        assert.equal(response.statusCode, 200);
        await db.raw("alter table audit_outbox rename to away");
        await assert.rejects(async () => {
          for await (const _chunk of response) continue;
        }, /aborted|ECONNRESET|socket hang up/);
        await until(() => hub.logged.some(({ message, level }) => level === "error" && message.startsWith("an answer could not")), {
          what: "the log",
        });
        const early = await hub.ask("GET", "/api/v1/audit/export", { token: owner.token });
        assertEnvelope(early, 500, "internal_error");
        await db.raw("alter table away rename to audit_outbox");

        const readers = await Promise.all([ask(), ask()]);
        assertEnvelope(await hub.ask("GET", "/api/v1/audit/export", { token: owner.token }), 429, "rate_limited");
        for (const reader of readers) reader.destroy();
        const again = await until(
          async () => {
            const answer = await hub.ask("GET", "/api/v1/audit/export", { token: owner.token });
            return answer.status === 200 ? answer : undefined;
          },
          { what: "a free place" },
        );
        assert.equal(again.text.trimEnd().split("\n").length >= 6_000, true);
        assert.equal((await hub.ask("HEAD", "/api/v1/audit/export", { token: owner.token })).text, "");
      });
    });

    test("is verified for one's own organisation, for the platform as a whole, and a fault is told and noted", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const { db } = hub.context.store;
        const stranger = await hub.member();
        const [first, second] = await writeAudit(db, owner.organizationId, 4);
        await writeAudit(db, stranger.organizationId, 2);
        await sealAll(db, await keyOf(hub));
        const verify = (token: string) => hub.ask("GET", "/api/v1/audit/verify", { token });
        const own = await verify(owner.token);
        const chains = own.json["chains"] as { organization_id: string; checked: number; fault: unknown }[];
        assert.deepEqual([own.json["intact"], own.json["checked"], own.json["waiting"], own.json["chain_count"]], [true, 4, 0, 1]);
        assert.deepEqual([chains[0]?.organization_id, chains[0]?.fault], [owner.organizationId, null]);
        await db("audit_outbox").where({ id: second }).update({ actor_id: "somebody else" });
        const found = (await verify(owner.token)).json;
        const fault = { kind: "changed", id: second, seq: 2, reason: "the row, its place or its organisation is not what was sealed" };
        assert.deepEqual(found["intact"], false);
        assert.deepEqual((found["chains"] as { checked: number; fault: unknown }[])[0]?.fault, fault);
        assert.equal((await verify(stranger.token)).json["intact"], true);
        const all = (await verify(OPERATOR)).json;
        assert.equal(all["intact"], false);
        assert.deepEqual((all["chains"] as { organization_id: string; fault: unknown }[])[0]?.fault, fault);
        const noted = await until(
          async () => (await list(owner.token, "&action=audit.fault")).find(({ actor }) => actor.id === owner.userId),
          { what: "the fault in the audit" },
        );
        assert.deepEqual([noted.resource_id, noted.details["seq"]], [second, 2]);
        assert.notEqual(first, second);
        const service = await hub.ask("POST", "/api/v1/access-tokens", { token: owner.token, body: { kind: "service", name: "machine" } });
        assertEnvelope(await verify(field(service, "token")), 403, "forbidden");
      });
    });

    test("has the attempts that came to nothing, and a hostile client cannot fill it", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const root = await hub.member("admin");
        const viewer = await joinAs(hub, owner, "viewer");
        const actions = async (token: string, action: string) => await list(token, `&action=${action}`);
        for (let attempt = 0; attempt < 40; attempt++) {
          const added = await hub.ask("POST", "/api/v1/devices", { token: viewer.token, body: { name: "x", device_class: "ir_hub" } });
          assert.equal(added.status, 403);
          assert.equal((await hub.ask("GET", "/api/v1/devices", { token: `hxp_wrong-${attempt}` })).status, 401);
        }
        assert.equal((await hub.ask("GET", "/api/v1/audit", { token: viewer.token })).status, 403);
        assert.equal((await hub.ask("GET", "/api/v1/devices")).status, 401);
        await hub.ask("GET", "/api/v1/auth/me", { token: OPERATOR });
        await hub.ask("GET", "/api/v1/auth/me", { token: OPERATOR });
        const forbidden = await until(
          async () =>
            (await actions(owner.token, "request.forbidden")).length >= 5 ? await actions(owner.token, "request.forbidden") : undefined,
          {
            what: "the refused requests",
          },
        );
        assert.equal(forbidden.length, 5);
        assert.ok(forbidden.every(({ actor, details }) => actor.id === viewer.userId && details["route"] === "/api/v1/devices"));
        const refused = await until(
          async () =>
            (await actions(root.token, "credential.refused")).length >= 5 ? await actions(root.token, "credential.refused") : undefined,
          {
            what: "the refused tokens",
          },
        );
        assert.equal(refused.length, 5);
        assert.ok(refused.every(({ organization_id, details }) => organization_id === null && details["address"] === "127.0.0.1"));
        assert.doesNotMatch(JSON.stringify(refused), /hxp_wrong/);
        assert.equal((await actions(owner.token, "credential.refused")).length, 0);
        const operator = await until(
          async () => await actions(root.token, "operator.access").then((found) => (found.length > 0 ? found : undefined)),
          {
            what: "the operator",
          },
        );
        assert.equal(operator.length, 1);
      });
    });

    test("has what another site made a browser ask for, with whose browser it was", async () => {
      await inPlace(async ({ hub, owner, list }) => {
        const headers = { cookie: `session_token=${owner.token}` };
        assertEnvelope(
          await hub.ask("POST", "/api/v1/devices", { headers, body: { name: "x", device_class: "ir_hub" } }),
          403,
          "forbidden",
        );
        const [entry] = await until(
          async () => await list(owner.token, "&action=request.cross_site").then((found) => (found.length > 0 ? found : undefined)),
          {
            what: "the refused request",
          },
        );
        assert.deepEqual([entry?.actor.id, entry?.organization_id], [owner.userId, owner.organizationId]);
      });
    });

    test("is verified by the command line, which names the first bad row and ends with 1", { timeout: 60_000 }, async () => {
      await using database = await open();
      await using hub = await startHub({ databaseUrl: database.url });
      const run = (...args: string[]) => hexahub(args, { env: { HEXA_DATA_DIR: hub.dataDir } });
      const { api } = hub;
      await api.login();
      await api.addDevice();
      type Chains = { intact: boolean; checked: number; waiting: number; chains: { organization_id: string | null }[] };
      const sealed = await until(
        async () => {
          const { body } = await api.call<Chains>("GET", "/api/v1/audit/verify");
          return body.checked >= 3 && body.waiting === 0 ? body : undefined;
        },
        { what: "the hub to seal its audit" },
      );
      assert.ok(sealed.intact && sealed.chains.some(({ organization_id }) => organization_id === null));
      const good = await run("audit", "verify");
      assert.deepEqual([good.code, good.stderr], [0, ""]);
      assert.match(good.stdout, /^CHAIN .*\n[\s\S]*intact\n.*\d+ rows are right/);
      const { body } = await api.call<{ data: Entry[] }>("GET", "/api/v1/audit?action=device.create");
      const [row] = body.data;
      assert.ok(row);
      await tamper(database.url, hub.dataDir, row.id);
      const bad = await run("audit", "verify");
      assert.equal(bad.code, 1);
      assert.match(bad.stdout, new RegExp(`bad at ${row.chain_seq}`));
      assert.match(
        bad.stderr,
        new RegExp(`✗ the audit is not.*\\n.*${row.organization_id}: row ${row.chain_seq} \\(${row.id}\\): the row, its place`),
      );
      const json = await run("audit", "verify", "--json");
      assert.equal(json.code, 1);
      assert.equal((JSON.parse(json.stdout) as Chains).intact, false);
      assert.equal((JSON.parse(json.stderr) as { code: string }).code, "audit_fault");
    });
  });
}

/** Behind the hub's back. */
async function tamper(databaseUrl: string | undefined, dataDir: string, id: string): Promise<void> {
  const sql = `update audit_outbox set actor_id = 'nobody' where id = '${id}'`;
  if (databaseUrl === undefined) {
    const { DatabaseSync } = await import("node:sqlite");
    using db = new DatabaseSync(`${dataDir}/hexahub.db`, { timeout: 5_000 });
    return db.exec(sql);
  }
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(sql);
  await client.end();
}

const keyOf = async (hub: TestApi) => await loadChainKey(hub.context.store.db, await loadMasterKey(hub.dataDir), Date.now());

async function joinAs(hub: TestApi, owner: { token: string; organizationId: string }, role: string) {
  const body = { email: `${crypto.randomUUID()}@example.org`, role };
  const invited = await hub.ask("POST", `/api/v1/organizations/${owner.organizationId}/invitations`, { token: owner.token, body });
  const made = await hub.ask("POST", "/api/v1/invitations/register", {
    body: { token: field(invited, "token"), password: "correct horse battery" },
  });
  return { token: field(made, "access_token"), userId: (made.json["user"] as { id: string }).id };
}
