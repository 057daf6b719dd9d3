import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ChainNode, chainTrees, type Link } from "../../core/event-chain.ts";
import { type HubEvent, newEvent } from "../../core/event.ts";
import { SYSTEM } from "../../core/principal.ts";

const event = (id: string, causationId: string | null): HubEvent => ({
  ...newEvent("device.online", { organizationId: null, entityId: null, actor: SYSTEM, now: 0, causationId }, {}),
  id,
});
/** `a(b c(d))` */
const drawn = (nodes: readonly ChainNode[]): string =>
  nodes.map(({ event: { id }, children }) => (children.length === 0 ? id : `${id}(${drawn(children)})`)).join(" ");
/** `ba`: b, whose cause is a. */
const linksOf = (text: string): Link[] =>
  text === "" ? [] : text.split(" ").map((word) => ({ id: word[0] as string, causationId: word[1] ?? null }));

test("each event hangs on its cause, or on the next one that is shown", () => {
  for (const [shown, hidden, expected] of [
    ["", "", ""],
    ["a", "", "a"],
    ["a ba ca db", "", "a(b(d) c)"],
    ["db a ca ba", "", "a(b(d) c)"],
    ["a cb", "ba", "a(c)"],
    ["a dc", "cb ba", "a(d)"],
    ["a cb", "", "a c"],
    ["a dc", "cb", "a d"],
    ["ba c", "", "b c"],
    ["aa b", "", "a b"],
    ["ab ba", "", "a(b)"],
    ["ac ba cb dc", "", "a(b(c(d)))"],
    ["ab ca", "ba", "a(c)"],
    ["ax by", "xy yx", "a b"],
    ["da cb ba ad", "", "a(b(c) d)"],
  ] as const) {
    const trees = chainTrees(
      linksOf(shown).map(({ id, causationId }) => event(id, causationId)),
      linksOf(hidden),
      50,
    );
    assert.equal(drawn(trees), expected, `${shown} | ${hidden}`);
  }
});

test("what lies too deep stands on the last level", () => {
  const chain = linksOf("a ba cb dc ed fa").map(({ id, causationId }) => event(id, causationId));
  for (const [depth, expected] of [
    [6, "a(b(c(d(e))) f)"],
    [4, "a(b(c(d e)) f)"],
    [2, "a(b f c d e)"],
  ] as const)
    assert.equal(drawn(chainTrees(chain, [], depth)), expected);
});

test("whatever the causes are, each event is there once, and no level too many", () => {
  const ids = "abcdefghijkl".split("");
  const link = fc.tuple(fc.constantFrom(...ids), fc.option(fc.constantFrom(...ids, "z")), fc.boolean());
  const links = fc.uniqueArray(link, { selector: ([id]) => id });
  fc.assert(
    fc.property(links, fc.integer({ min: 2, max: 6 }), (all, depth) => {
      const shown = all.filter(([, , isShown]) => isShown).map(([id, cause]) => event(id, cause));
      const hidden = all.filter(([, , isShown]) => !isShown).map(([id, causationId]) => ({ id, causationId }));
      const found: string[] = [];
      const walk = (nodes: readonly ChainNode[], level: number): void => {
        for (const node of nodes) {
          assert.ok(level <= depth);
          found.push(node.event.id);
          walk(node.children, level + 1);
        }
      };
      walk(chainTrees(shown, hidden, depth), 1);
      assert.deepEqual(found.toSorted(), shown.map(({ id }) => id).toSorted());
    }),
    { numRuns: 2_000 },
  );
});

test("a thousand events in one line are a tree at once", () => {
  const id = (index: number): string => String(index).padStart(4, "0");
  const line = Array.from({ length: 1_000 }, (_, index) => event(id(index), index === 0 ? null : id(index - 1)));
  const [root, ...others] = chainTrees(line, [], 2_000);
  assert.deepEqual(others, []);
  let levels = 0;
  for (let node = root; node; node = node.children[0]) levels++;
  assert.equal(levels, 1_000);
});
