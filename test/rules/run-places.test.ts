import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RunPlaces, type RunTurn } from "../../rules/run-places.ts";

/** Places whose runs go on until the test ends them, and a clock that the test sets. */
function scene(places: number) {
  const begun: string[] = [];
  const ends = new Map<string, (isUnfinished: boolean) => void>();
  const clock = { now: 0 };
  const work = ({ id }: RunTurn): Promise<boolean> => {
    begun.push(id);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    ends.set(id, resolve);
    return promise;
  };
  const all = new RunPlaces({ work, places, heldMs: 9_000, clock: () => clock.now });
  return {
    all,
    begun,
    clock,
    enter: (...ids: string[]) => ids.forEach((id) => all.enter({ id, organizationId: id.slice(0, 1) })),
    end: async (id: string, isUnfinished = false): Promise<void> => {
      ends.get(id)?.(isUnfinished);
      await new Promise(setImmediate);
    },
  };
}

describe("the places of runs", () => {
  test("a run whose lease comes while it waits, or works, is done once", async () => {
    const { begun, clock, enter, end } = scene(1);
    enter("a1", "a2", "a3");
    clock.now = 8_000;
    enter("a1", "a2");
    clock.now = 10_000;
    await end("a1");
    assert.deepEqual(begun, ["a1", "a2"]);
    await end("a2");
    // Nobody has told it that the third is still its own.
    assert.deepEqual(begun, ["a1", "a2"]);
    enter("a3", "a1");
    await end("a3");
    assert.deepEqual(begun, ["a1", "a2", "a3", "a1"]);
  });

  test("the next place is for the organisation that has the fewest", async () => {
    const { begun, enter, end } = scene(3);
    enter("a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1");
    for (const id of ["a1", "a2", "a3", "b1"]) await end(id);
    assert.deepEqual(begun, ["a1", "a2", "a3", "b1", "c1", "a4", "b2"]);
  });

  test("a run gives way to another organisation's between two steps, and has its turn again", async () => {
    const { all, begun, enter, end } = scene(2);
    const [a, b] = [
      { id: "a1", organizationId: "a" },
      { id: "b1", organizationId: "b" },
    ];
    enter("a1", "a2", "a3");
    assert.equal(all.mustYield(a), false);
    enter("b1", "b2");
    assert.equal(all.mustYield(a), true);
    await end("a1", true);
    assert.deepEqual([all.mustYield(a), all.mustYield(b)], [false, false]);
    for (const id of ["b1", "a2", "b2", "a3"]) await end(id);
    assert.deepEqual(begun, ["a1", "a2", "b1", "b2", "a3", "a1"]);
  });

  test("no run begins once they close, and that waits for those that go on", async () => {
    const { all, begun, enter, end } = scene(1);
    enter("a1", "a2");
    let isClosed = false;
    const closing = all[Symbol.asyncDispose]().then(() => (isClosed = true));
    await new Promise(setImmediate);
    assert.equal(isClosed, false);
    await end("a1", true);
    await closing;
    enter("a3");
    assert.deepEqual(begun, ["a1"]);
  });
});
