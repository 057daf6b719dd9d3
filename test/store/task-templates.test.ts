import assert from "node:assert/strict";
import { newId } from "../../core/id.ts";
import { type Actor, PLATFORM, type Scope } from "../../core/principal.ts";
import {
  createTemplate,
  deleteTemplate,
  getTemplate,
  lockTemplate,
  type TaskTemplate,
  updateTemplate,
} from "../../store/task-templates.ts";
import { templateActions } from "../../store/template-actions.ts";
import { listCategories, listTemplates, TEMPLATE_ORDERS, type TemplateOrder } from "../../store/template-list.ts";
import { noteUse, purgeTemplateUses } from "../../store/template-uses.ts";
import type { Db } from "../../store/open.ts";
import { rowsOf } from "../../store/sql.ts";
import { inTransaction } from "../../store/transaction.ts";
import { forEachEngine } from "./engines.ts";
import { device, tenant } from "./fixtures.ts";

const ACTOR: Actor = { kind: "user", id: newId() };
const DAY_MS = 86_400_000;
const NOW = Date.parse("2027-03-15T12:00:00Z");
const BUILTINS = { now: NOW, task: { id: "t" }, device: { uid: "relay-000001", name: "Hall" }, user: { name: "Ada" } };
const RELAY = {
  actions: [{ command: "set_relay", relay: "{{relay}}", state: "ON" }],
  variables: [{ name: "relay", type: "integer", min: 0, max: 31 }],
};

interface Wanted {
  readonly name?: string;
  readonly isPublic?: boolean;
  readonly isRenamed?: boolean;
  readonly definition?: Partial<TaskTemplate["definition"]>;
}

const make = (db: Db, organizationId: string, { name = "One", isPublic = false, isRenamed = false, definition = {} }: Wanted = {}) =>
  inTransaction(db, (trx) =>
    createTemplate(
      trx,
      organizationId,
      { name, description: null, isPublic, isRenamed, definition: { ...RELAY, ...definition } },
      { actor: ACTOR, now: NOW },
    ),
  );

const change = (db: Db, scope: Scope, id: string, { name = "One", isPublic = false, definition = {} }: Wanted) =>
  inTransaction(db, async (trx) => {
    const before = await lockTemplate(trx, scope, id, NOW);
    const fields = { name, description: null, isPublic, definition: { ...before.definition, ...definition } };
    return await updateTemplate(trx, before, fields, { actor: ACTOR, now: NOW });
  });

const use = (db: Db, id: string, now: number, times = 1) =>
  inTransaction(db, async (trx) => {
    for (let count = 0; count < times; count++) await noteUse(trx, id, now);
  });

const coded = (code: string) => (error: unknown) => (error as { code?: unknown }).code === code;

async function allPages(db: Db, scope: Scope, order: TemplateOrder, limit: number): Promise<string[]> {
  const names: string[] = [];
  let after: string | undefined;
  do {
    const page = await listTemplates(db, scope, { limit, order, now: NOW, after });
    names.push(...page.items.map(({ name }) => name));
    after = page.next ?? undefined;
  } while (after !== undefined);
  return names;
}

forEachEngine(({ test }) => {
  test("a template is its organisation's, and everybody's to read from the version on that was made public", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const { id } = await make(db, a.organization.id);
    await assert.rejects(getTemplate(db, b.scope, id, NOW), coded("not_found"));
    await assert.rejects(change(db, b.scope, id, { name: "Mine" }), coded("not_found"));
    const second = await change(db, a.scope, id, { isPublic: true, definition: { category: "light" } });
    assert.deepEqual([second.version, second.publicFrom], [2, 2]);
    const third = await change(db, a.scope, id, { isPublic: true, definition: { category: "heat" } });
    assert.deepEqual([third.version, third.publicFrom], [3, 2]);
    assert.deepEqual(await getTemplate(db, b.scope, id, NOW), third);
    await assert.rejects(change(db, b.scope, id, { name: "Mine" }), coded("forbidden"));
    const versions = async (scope: Scope) =>
      await Promise.all(
        [1, 2, 3, 4].map((version) =>
          templateActions(db, scope, { id, version, variables: { relay: 1 }, builtins: BUILTINS }).then(
            (made) => made.version,
            (error: { code: string }) => error.code,
          ),
        ),
      );
    assert.deepEqual(await versions(a.scope), [1, 2, 3, "not_found"]);
    assert.deepEqual(await versions(b.scope), ["not_found", 2, 3, "not_found"]);
    assert.deepEqual((await change(db, a.scope, id, {})).publicFrom, null);
    await assert.rejects(getTemplate(db, b.scope, id, NOW), coded("not_found"));
    await assert.rejects(templateActions(db, b.scope, { id, version: 3, variables: { relay: 1 }, builtins: BUILTINS }), coded("not_found"));
    assert.equal((await getTemplate(db, PLATFORM, id, NOW)).version, 3);
    const granted: Scope = { kind: "devices", organizationId: a.organization.id, deviceIds: [newId()] };
    await assert.rejects(getTemplate(db, granted, id, NOW), coded("not_found"));
  });

  test("what is used is counted with the task that it is used for, by day, and forgotten after thirty", async (db) => {
    const a = await tenant(db, "a");
    const { id } = await make(db, a.organization.id);
    await use(db, id, NOW - 30 * DAY_MS, 4);
    await use(db, id, NOW - 29 * DAY_MS, 2);
    await use(db, id, NOW);
    const failed = inTransaction(db, async (trx) => {
      await noteUse(trx, id, NOW);
      throw new Error("the task cannot be made");
    });
    await assert.rejects(failed, /cannot be made/);
    await Promise.all(Array.from({ length: 8 }, () => use(db, id, NOW)));
    const counted = await getTemplate(db, a.scope, id, NOW);
    assert.deepEqual([counted.usageCount, counted.recentUses], [15, 11]);
    await purgeTemplateUses(db, NOW);
    const days = () => rowsOf(db, "select day, uses from task_template_uses order by day");
    assert.deepEqual(
      (await days()).map((row) => ({ ...(row as object) })),
      [
        { day: "2027-02-14", uses: 2 },
        { day: "2027-03-15", uses: 9 },
      ],
    );
    assert.deepEqual((await getTemplate(db, a.scope, id, NOW)).usageCount, 15);
    await inTransaction(db, (trx) => deleteTemplate(trx, id));
    assert.deepEqual(await days(), []);
    // Nobody has to know that it is gone.
    await use(db, id, NOW);
    assert.deepEqual(await days(), []);
  });

  test("a list has what one may read, in three orders, page by page, and narrowed", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const made = new Map<string, string>();
    const wanted: readonly (readonly [string, typeof a, Wanted])[] = [
      ["beta", a, { definition: { category: "light", tags: ["x", "y"] } }],
      ["Alpha", a, { definition: { category: "light" } }],
      ["alpha", b, { isPublic: true, definition: { category: "heat", tags: ["y"] } }],
      ["Ärmel", a, {}],
      ["hidden", b, { definition: { category: "light", tags: ["y"] } }],
      ["100%_a", a, { isPublic: true }],
    ];
    for (const [name, of, more] of wanted) made.set(name, (await make(db, of.organization.id, { name, ...more })).id);
    const idOf = (name: string): string => made.get(name) ?? assert.fail(name);
    await use(db, idOf("alpha"), NOW, 3);
    await use(db, idOf("beta"), NOW, 3);
    await use(db, idOf("Ärmel"), NOW, 1);
    await use(db, idOf("Alpha"), NOW - 40 * DAY_MS, 9);
    const expected: Record<TemplateOrder, string[]> = {
      name: ["100%_a", "Alpha", "alpha", "beta", "Ärmel"],
      popularity: ["alpha", "beta", "Ärmel", "100%_a", "Alpha"],
      new: ["100%_a", "Ärmel", "alpha", "Alpha", "beta"],
    };
    for (const order of TEMPLATE_ORDERS)
      for (const limit of [1, 2, 100]) assert.deepEqual(await allPages(db, a.scope, order, limit), expected[order], `${order} by ${limit}`);
    const names = async (filter: object): Promise<string[]> =>
      (await listTemplates(db, a.scope, { limit: 10, order: "name", now: NOW, ...filter })).items.map(({ name }) => name);
    assert.deepEqual(await names({ category: "light" }), ["Alpha", "beta"]);
    assert.deepEqual(await names({ tag: "y" }), ["alpha", "beta"]);
    assert.deepEqual(await names({ tag: "y", of: { kind: "public" } }), ["alpha"]);
    assert.deepEqual(await names({ of: { kind: "public" } }), ["100%_a", "alpha"]);
    assert.deepEqual(await names({ of: { kind: "mine", organizationId: a.organization.id } }), ["100%_a", "Alpha", "beta", "Ärmel"]);
    assert.deepEqual(await names({ search: "ALPHA" }), ["Alpha", "alpha"]);
    assert.deepEqual(await names({ search: "%_" }), ["100%_a"]);
    assert.deepEqual(await names({ search: "ärm" }), ["Ärmel"]);
    for (const [order, after] of [
      ["name", "nothing"],
      ["new", `x.${newId()}`],
      ["popularity", `many.${newId()}`],
    ] as const)
      await assert.rejects(listTemplates(db, a.scope, { limit: 1, order, now: NOW, after }), coded("validation_error"));
    assert.deepEqual(await listCategories(db, a.scope, 10), [
      { category: "light", count: 2 },
      { category: "heat", count: 1 },
    ]);
    assert.deepEqual(await listCategories(db, b.scope, 1), [{ category: "heat", count: 1 }]);
    assert.deepEqual(await listCategories(db, PLATFORM, 10), [
      { category: "light", count: 3 },
      { category: "heat", count: 1 },
    ]);
  });

  test("a name that is there gets the next number, also for two at once", async (db) => {
    const a = await tenant(db, "a");
    const long = "n".repeat(120);
    const name = async (wanted: string): Promise<string> => (await make(db, a.organization.id, { name: wanted, isRenamed: true })).name;
    assert.deepEqual(
      [await name("One"), await name("one"), await name("One"), await name("One (2)"), await name(long), await name(long)],
      ["One", "one (2)", "One (3)", "One (4)", long, `${"n".repeat(116)} (2)`],
    );
    const both = await Promise.all([name("Two"), name("Two"), name("Two")]);
    assert.deepEqual(both.toSorted(), ["Two", "Two (2)", "Two (3)"]);
  });

  test("actions are what the template says now, for devices of the asker's own", async (db) => {
    const [a, b] = [await tenant(db, "a"), await tenant(db, "b")];
    const [mine, other] = [await device(db, a), await device(db, b)];
    const variables = [...RELAY.variables, { name: "at", type: "device" }];
    const actions = [...RELAY.actions, { command: "set_relay", relay: 0, state: "{{at}}" }];
    const { id } = await make(db, a.organization.id, { definition: { variables, actions } });
    const faults = async (scope: Scope, given: object): Promise<string[]> =>
      await templateActions(db, scope, { id, variables: { ...given }, builtins: BUILTINS }).then(
        () => [],
        (error: { details: { path: string }[] }) => error.details.map(({ path }) => path),
      );
    // No command takes a device yet, so that what is left to refuse is the command.
    assert.deepEqual(await faults(a.scope, { relay: 1, at: mine.uid }), ["/actions/1/state"]);
    for (const at of ["no uid", other.uid, "relay-nobody99"]) assert.deepEqual(await faults(a.scope, { relay: 1, at }), ["/variables/at"]);
    assert.deepEqual((await faults(a.scope, { relay: 99, at: other.uid })).toSorted(), ["/variables/at", "/variables/relay"]);
    const plain = await make(db, a.organization.id);
    const resolved = async (): Promise<unknown> =>
      (await templateActions(db, a.scope, { id: plain.id, variables: { relay: 3 }, builtins: BUILTINS })).actions;
    assert.deepEqual(await resolved(), [{ command: "set_relay", relay: 3, state: "ON" }]);
    await change(db, a.scope, plain.id, { definition: { actions: [{ command: "set_relay", relay: "{{relay}}", state: "OFF" }] } });
    assert.deepEqual(await resolved(), [{ command: "set_relay", relay: 3, state: "OFF" }]);
  });
});
