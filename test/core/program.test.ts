import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Action, parseActions, usesOfActions } from "../../core/action.ts";
import { HubError } from "../../core/errors.ts";
import { BEGIN, type Frame, MOST_TURNS, nextStep } from "../../core/program.ts";

const YES = { kind: "day", days: ["mon"] };
const NO = { kind: "day", days: ["tue"] };
const say = (name: string) => ({ kind: "publish", name, payload: name });
const wait = { kind: "delay", for_s: 5 };

/** What a program does from its beginning, over a restart after every step: only frames as JSON are kept. */
function trace(actions: readonly Action[], limit = 1_000): string[] {
  const done: string[] = [];
  let frames: readonly Frame[] = BEGIN;
  for (let step = 0; step < limit; step++) {
    const next = nextStep(actions, frames, (condition) => condition.kind === "day" && condition.days[0] === "mon");
    if (next.kind === "end") return done;
    if (next.kind === "endless") return [...done, "endless"];
    done.push(next.kind === "delay" ? "…" : next.action.kind === "publish" ? next.action.name : next.action.kind);
    frames = JSON.parse(JSON.stringify(next.frames)) as Frame[];
  }
  return [...done, "endless"];
}
const run = (...actions: unknown[]): string => trace(parseActions(actions, "/actions")).join(" ");

describe("a program of actions", () => {
  test("does one after the other, also over a restart after each", () => {
    assert.equal(run(say("a"), wait, say("b")), "a … b");
    assert.equal(
      run(
        {
          kind: "choose",
          options: [
            { condition: NO, actions: [say("x")] },
            { condition: YES, actions: [say("a"), wait, say("b")] },
          ],
        },
        say("c"),
      ),
      "a … b c",
    );
    assert.equal(run({ kind: "choose", options: [{ condition: NO, actions: [say("x")] }], otherwise: [say("a")] }, say("b")), "a b");
    assert.equal(run({ kind: "choose", options: [{ condition: NO, actions: [say("x")] }] }, say("b")), "b");
    assert.equal(run({ kind: "repeat", times: 3, actions: [say("a"), wait] }, say("b")), "a … a … a … b");
    assert.equal(run({ kind: "repeat", times: 3, while: NO, actions: [say("a")] }, say("b")), "b");
    assert.equal(
      run(
        {
          kind: "repeat",
          times: 2,
          actions: [
            { kind: "repeat", times: 2, actions: [say("a")] },
            { kind: "choose", options: [{ condition: YES, actions: [say("b")] }] },
          ],
        },
        say("c"),
      ),
      "a a b a a b c",
    );
  });

  test("ends where its list is not there any more", () => {
    const actions = parseActions([say("a")], "/actions");
    for (const list of ["/actions/0/actions", "/actions/7/options/0/actions", "/nonsense", "/actions/0/options/x/actions"])
      assert.deepEqual(
        nextStep(actions, [{ list, index: 0 }], () => true),
        { kind: "end" },
        list,
      );
  });

  test("that finds nothing to do in so many turns says so, and how many it looks at is bounded", () => {
    const never = { kind: "choose", options: Array.from({ length: 20 }, () => ({ condition: NO, actions: [say("x")] })) };
    const round = (actions: unknown[]) => ({ kind: "repeat", times: 100, actions });
    const actions = parseActions([say("a"), round([round([never])])], "/actions");
    let asked = 0;
    const step = nextStep(actions, [{ list: "/actions", index: 1 }], () => {
      asked++;
      return false;
    });
    assert.equal(step.kind, "endless");
    assert.ok(asked <= MOST_TURNS + 20, `${asked} conditions`);
    assert.equal(run(round([never]), say("b")), "b");
  });

  test("does what a plain walk through it would do", () => {
    const tree = fc.letrec<{ list: unknown[] }>((tie) => ({
      list: fc.array(
        fc.oneof(
          { depthSize: "small", maxDepth: 4 },
          fc.constantFrom("a", "b", "c").map(say),
          fc.constant(wait),
          fc.record({ kind: fc.constant("repeat"), times: fc.integer({ min: 1, max: 3 }), actions: tie("list") }),
          fc.record({
            kind: fc.constant("choose"),
            options: fc.array(fc.record({ condition: fc.constantFrom(YES, NO), actions: tie("list") }), { minLength: 1, maxLength: 2 }),
          }),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    })).list;
    const walk = (actions: readonly Action[]): string[] =>
      actions.flatMap((action) => {
        if (action.kind === "delay") return ["…"];
        if (action.kind === "publish") return [action.name];
        if (action.kind === "repeat") return Array.from({ length: action.times }).flatMap(() => walk(action.actions));
        if (action.kind !== "choose") return [];
        const chosen = action.options.find(({ condition }) => condition.kind === "day" && condition.days[0] === "mon");
        return walk(chosen?.actions ?? action.otherwise ?? []);
      });
    fc.assert(
      fc.property(tree, (written) => {
        const actions = parseActions(written, "/actions");
        assert.deepEqual(trace(actions, 10_000), walk(actions));
      }),
      { numRuns: 300 },
    );
  });

  test("is refused with the place of the fault", () => {
    const deep = Array.from({ length: 7 }).reduce<unknown>((inner) => ({ kind: "repeat", times: 1, actions: [inner] }), say("a"));
    const often = Array.from({ length: 3 }).reduce<unknown>((inner) => ({ kind: "repeat", times: 100, actions: [inner] }), say("a"));
    const table: [unknown, RegExp][] = [
      [[often], /^\/actions\/0\/actions\/0\/actions\/0\/times makes more than 10000 turns/],
      [[], /^\/actions has to be a list/],
      ["x", /^\/actions has to be a list/],
      [[say("a"), { kind: "explode" }], /^\/actions\/1\/kind has to be one of/],
      [[{ kind: "start", what: "workflow", id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10" }], /^\/actions\/0\/what is reserved/],
      [[{ kind: "start", what: "task", id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10" }], /^\/actions\/0\/device is missing/],
      [[say("a/+/b")], /^\/actions\/0\/name/],
      [[{ kind: "repeat", times: 101, actions: [say("a")] }], /^\/actions\/0\/times/],
      [
        [{ kind: "choose", options: [{ condition: { kind: "day", days: [] }, actions: [say("a")] }] }],
        /^\/actions\/0\/options\/0\/condition\/days/,
      ],
      [
        [
          {
            kind: "choose",
            options: [{ condition: YES, actions: [say("a"), { kind: "command", device: "relay-000001", command: { command: "fly" } }] }],
          },
        ],
        /^\/actions\/0\/options\/0\/actions\/1\/command/,
      ],
      [[{ kind: "event", type: "device.online" }], /^\/actions\/0\/type/],
      [[deep], /nested more than 6 levels/],
      [Array.from({ length: 41 }, () => ({ kind: "repeat", times: 1, actions: Array.from({ length: 5 }, () => say("a")) })), /too large/],
    ];
    for (const [actions, message] of table)
      assert.throws(
        () => parseActions(actions, "/actions"),
        (error: unknown) => error instanceof HubError && message.test(error.message),
        JSON.stringify(actions).slice(0, 200),
      );
  });

  test("says what it names, with the places", () => {
    const actions = parseActions(
      [
        { kind: "set_all_relays", devices: ["relay-000001", "relay-000002"], state: "OFF" },
        {
          kind: "choose",
          options: [
            {
              condition: { kind: "presence", device: "relay-000003", is: "online" },
              actions: [{ kind: "scene", scene_id: "0193b0f2-7c1e-7d3a-9a51-3f1d5f0c7a10" }],
            },
          ],
        },
      ],
      "/actions",
    );
    assert.deepEqual(
      usesOfActions(actions, "/actions").map((use) => [use.kind, "use" in use ? use.use.path : use.path]),
      [
        ["command", "/actions/0/devices/0"],
        ["command", "/actions/0/devices/1"],
        ["device", "/actions/1/options/0/condition/device"],
        ["scene", "/actions/1/options/0/actions/0/scene_id"],
      ],
    );
  });
});
