import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Act, FINE, type Policy, type Signal, turn, type Turn, wakeAt, type Watch } from "../../core/alert.ts";

const POLICY: Policy = { forMs: 100, resolveAfterMs: 50, tellAfterMs: 0, escalateMs: [200, 400] };

interface Told {
  readonly at: number;
  readonly act: Act;
}

/** Runs signals, and the timers between them, as the hub does. */
function play(
  policy: Policy,
  signals: readonly { readonly at: number; readonly signal: Signal }[],
  until: number,
  quietAt?: (at: number) => number | undefined,
) {
  let watch: Watch = FINE;
  const told: Told[] = [];
  const watches: { at: number; watch: Watch }[] = [];
  const step = (signal: Signal, at: number): void => {
    const next: Turn = turn(policy, watch, signal, at, quietAt);
    watch = next.watch;
    watches.push({ at, watch });
    told.push(...next.acts.map((act) => ({ at, act })));
  };
  const wait = (to: number): void => {
    for (let due = wakeAt(policy, watch); due !== undefined && due <= to; due = wakeAt(policy, watch)) step({ kind: "time" }, due);
  };
  for (const { at, signal } of signals) {
    wait(at - 1);
    step(signal, at);
  }
  wait(until);
  return { watch, told, watches };
}

const bad: Signal = { kind: "bad" };
const fine: Signal = { kind: "fine" };
const acts = (told: readonly Told[]): string[] => told.map(({ at, act }) => `${at} ${act.kind}`);

test("fires when it was bad for the time, tells, escalates until somebody takes care, and resolves when it was fine for the time", () => {
  const { told } = play(
    POLICY,
    [
      { at: 0, signal: bad },
      { at: 350, signal: { kind: "acknowledge" } },
      { at: 900, signal: fine },
    ],
    2_000,
  );
  assert.deepEqual(acts(told), ["100 raise", "100 tell", "300 escalate", "350 acknowledge", "950 resolve"]);
});

test("a value that flaps makes no alert while it is pending, and one while it fires", () => {
  const flaps = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => ({ at: from + index * 20, signal: index % 2 === 0 ? bad : fine }));
  assert.deepEqual(play(POLICY, flaps(0, 40), 2_000).told, []);
  const { told } = play({ ...POLICY, escalateMs: [] }, [{ at: 0, signal: bad }, ...flaps(200, 41), { at: 1_100, signal: fine }], 5_000);
  assert.deepEqual(acts(told), ["100 raise", "100 tell", "1150 resolve"]);
});

test("one that was ended by hand comes again only when it was fine in between", () => {
  const { told } = play(
    { ...POLICY, escalateMs: [] },
    [
      { at: 0, signal: bad },
      { at: 200, signal: { kind: "resolve" } },
      { at: 300, signal: bad },
      { at: 500, signal: fine },
      { at: 600, signal: bad },
    ],
    1_000,
  );
  assert.deepEqual(acts(told), ["100 raise", "100 tell", "200 resolve", "700 raise", "700 tell"]);
});

test("what happens in a silence is told when it ends, if it is still so", () => {
  const quietAt = (at: number): number | undefined => (at < 500 ? 500 : undefined);
  assert.deepEqual(acts(play(POLICY, [{ at: 0, signal: bad }], 1_000, quietAt).told), [
    "100 raise",
    "500 tell",
    "500 escalate",
    "500 escalate",
  ]);
  const over = play(
    POLICY,
    [
      { at: 0, signal: bad },
      { at: 200, signal: fine },
    ],
    1_000,
    quietAt,
  );
  assert.deepEqual(acts(over.told), ["100 raise", "250 resolve"]);
  assert.ok(over.told.some(({ act }) => act.kind === "resolve" && !act.wasTold));
});

test("what was told as a part of something else speaks for itself when that is over, after a silence and unless somebody takes care", () => {
  const policy = { ...POLICY, escalateMs: [] };
  const alone: Signal = { kind: "alone" };
  const during = (signals: readonly { at: number; signal: Signal }[], quietUntil: number) =>
    acts(play(policy, [{ at: 0, signal: bad }, ...signals], 1_000, (at) => (at >= 200 && at < quietUntil ? quietUntil : undefined)).told);
  assert.deepEqual(during([{ at: 300, signal: alone }], 0), ["100 raise", "100 tell", "300 tell"]);
  assert.deepEqual(during([{ at: 300, signal: alone }], 500), ["100 raise", "100 tell", "500 tell"]);
  const handled: Signal = { kind: "acknowledge" };
  assert.deepEqual(
    during(
      [
        { at: 200, signal: handled },
        { at: 300, signal: alone },
      ],
      0,
    ),
    ["100 raise", "100 tell", "200 acknowledge"],
  );
});

test("what is bad for a while only is fine by itself, and what is gone ends at once", () => {
  const policy = { ...POLICY, forMs: 0, resolveAfterMs: 0, escalateMs: [] };
  assert.deepEqual(acts(play(policy, [{ at: 10, signal: { kind: "bad", until: 90 } }], 1_000).told), ["10 raise", "10 tell", "90 resolve"]);
  assert.deepEqual(
    acts(
      play(
        policy,
        [
          { at: 10, signal: bad },
          { at: 20, signal: { kind: "gone", why: "gone" } },
        ],
        1_000,
      ).told,
    ),
    ["10 raise", "10 tell", "20 resolve"],
  );
});

const policies = fc.record({
  forMs: fc.integer({ min: 0, max: 200 }),
  resolveAfterMs: fc.integer({ min: 0, max: 200 }),
  tellAfterMs: fc.integer({ min: 0, max: 100 }),
  escalateMs: fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 3 }).map((all) => all.toSorted((a, b) => a - b)),
});
const kinds = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Signal>(bad, fine) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Signal>(
      { kind: "acknowledge" },
      { kind: "resolve" },
      { kind: "gone", why: "gone" },
      { kind: "time" },
      { kind: "alone" },
    ),
  },
);
const histories = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 150 }), signal: kinds }), { maxLength: 40 }).map((steps) => {
  let at = 0;
  return steps.map(({ gap, signal }) => ({ at: (at += gap), signal }));
});

test("whatever happens: never before its time, never over while it is bad, one at a time, and the same again", () => {
  fc.assert(
    fc.property(policies, histories, (policy, history) => {
      const { told, watches } = play(policy, history, 100_000);
      assert.deepEqual(play(policy, history, 100_000).told, told);
      let open = false;
      let badSince: number | undefined;
      const input = [...history];
      for (const { at, act } of told) {
        while (input[0] && input[0].at <= at) {
          const { signal, at: then } = input.shift() as (typeof history)[number];
          if (signal.kind === "bad") badSince ??= then;
          else if (signal.kind === "fine" || signal.kind === "gone") badSince = undefined;
        }
        if (act.kind === "raise") {
          assert.equal(open, false, "one at a time");
          assert.ok(badSince !== undefined && at - badSince >= policy.forMs, `raised at ${at}, bad since ${badSince}`);
          open = true;
        } else assert.equal(open, true, `${act.kind} without an alert`);
        if (act.kind === "resolve") {
          if (act.how === "fine") assert.equal(badSince, undefined, `over at ${at}, and bad since ${badSince}`);
          open = false;
        }
      }
      for (const { watch } of watches) if (watch.status === "ok") assert.equal(watch, FINE);
    }),
    { numRuns: 2_000 },
  );
});
