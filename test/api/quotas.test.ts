import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../core/id.ts";
import { MAX_CONTACTS } from "../../store/contacts.ts";
import { MAX_INBOUND_HOOKS } from "../../store/inbound-hooks.ts";
import { MAX_WEBHOOKS } from "../../store/webhooks.ts";
import { databases } from "../support/databases.ts";
import { apiOfSuite, statusesOf } from "./test-api.ts";

/** What SQLite takes in one statement. */
const AT_ONCE = 500;

for (const engine of databases())
  describe(`of many at once on ${engine.name}`, { skip: engine.skip }, () => {
    const hub = apiOfSuite(engine);

    for (const { table, path, most, body } of [
      { table: "webhooks", path: "webhooks", most: MAX_WEBHOOKS, body: { name: "x", url: "https://hooks.example/x", events: ["*"] } },
      { table: "inbound_hooks", path: "inbound-hooks", most: MAX_INBOUND_HOOKS, body: { name: "x", scheme: "token" } },
      { table: "contacts", path: "contacts", most: MAX_CONTACTS, body: { name: "x" } },
    ])
      test(`no more ${table} are made than an organisation may have`, async () => {
        const { token, organizationId } = await hub().member();
        const { db } = hub().context.store;
        const make = () => hub().ask("POST", `/api/v1/${path}`, { token, body });
        assert.equal((await make()).status, 201);
        const own = () => db(table).where({ organization_id: organizationId });
        const [columns] = (await own()) as Record<string, unknown>[];
        // PostgreSQL's client gives JSON as it is, and takes lists for its own arrays.
        const row = Object.entries(columns ?? {}).map(([name, value]) => [name, Array.isArray(value) ? JSON.stringify(value) : value]);
        const others = Array.from({ length: most - 4 }, () => ({ ...Object.fromEntries(row), id: newId() }) as object);
        while (others.length > 0) await db(table).insert(others.splice(0, AT_ONCE));
        const statuses = statusesOf(await Promise.all(Array.from({ length: 12 }, make)));
        assert.deepEqual(statuses, [...Array<number>(3).fill(201), ...Array<number>(9).fill(429)]);
        assert.equal((await own()).length, most);
      });
  });
