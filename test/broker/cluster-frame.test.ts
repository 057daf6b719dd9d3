import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backlog, type OutgoingLetter } from "../../broker/cluster-backlog.ts";
import { formatToken, parseToken } from "../../broker/cluster-claim-token.ts";
import { NodeFilters } from "../../broker/cluster-filters.ts";
import { encodeFrame, parseFrame } from "../../broker/cluster-frame.ts";
import { after } from "../../broker/cluster-inbox.ts";
import { arrive, FIRST_SEQ } from "../../broker/cluster-sequence.ts";

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const plain = { noNullPrototype: true };
const letter = fc.record({ kind: fc.nat(255), bytes }, plain);
const firstSeq = fc.nat(Number.MAX_SAFE_INTEGER >>> 6);
const frame = fc.record({ sender: fc.uuid(), firstSeq, letters: fc.array(letter, { maxLength: 40 }) }, plain);

test("a frame comes out of its bytes as it went in", () => {
  fc.assert(fc.property(frame, (one) => assert.deepEqual(parseFrame(encodeFrame(one)), one)));
});

test("a frame that is cut short anywhere is never read as a frame with all its messages", () => {
  fc.assert(
    fc.property(frame, fc.nat(), (one, at) => {
      const whole = encodeFrame(one);
      const part = parseFrame(whole.subarray(0, at % whole.length));
      assert.ok(part === undefined || part.letters.length < one.letters.length);
    }),
  );
});

test("arbitrary bytes are no frame, and never an exception", () => {
  fc.assert(fc.property(bytes, (noise) => void parseFrame(noise)));
  assert.equal(parseFrame(Buffer.alloc(0)), undefined);
  assert.equal(parseFrame(Buffer.alloc(23, 0xff)), undefined);
});

test("whatever is repeated or lost on the way, each message is taken once and each hole is counted", () => {
  // Frames of 1–5 messages; each is sent once, lost, or sent again later, as often as it likes.
  const sent = fc.array(fc.record({ count: fc.integer({ min: 1, max: 5 }), isLost: fc.boolean(), again: fc.boolean() }), { maxLength: 60 });
  fc.assert(
    fc.property(sent, (frames) => {
      const taken: number[] = [];
      let missing = 0;
      let expected = FIRST_SEQ;
      let seq = FIRST_SEQ;
      const take = (first: number, count: number) => {
        const arrival = arrive(expected, first, count);
        for (let number = first + arrival.repeated; number < first + count; number += 1) taken.push(number);
        missing += arrival.missing;
        expected = arrival.next;
      };
      for (const { count, isLost, again } of frames) {
        if (!isLost) take(seq, count);
        if (!isLost && again) take(seq, count);
        seq += count;
      }
      assert.deepEqual(
        taken,
        [...new Set(taken)].toSorted((a, b) => a - b),
      );
      assert.equal(taken.length + missing, expected - FIRST_SEQ);
    }),
  );
});

test("a frame of which a part was seen gives the rest", () => {
  assert.deepEqual(arrive(10, 8, 5), { repeated: 2, missing: 0, next: 13 });
  assert.deepEqual(arrive(10, 8, 2), { repeated: 2, missing: 0, next: 10 });
  assert.deepEqual(arrive(10, 12, 1), { repeated: 0, missing: 2, next: 13 });
});

test("a backlog gives what was put in, in order, less what was dropped; its bytes return to nothing", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), size: fc.nat(200), droppable: fc.boolean() }),
    fc.record({ do: fc.constant("send" as const), maxBytes: fc.nat(1_000) }),
    fc.record({ do: fc.constant("drop" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const backlog = new Backlog();
      let model: { number: number; droppable: boolean }[] = [];
      let count = 0;
      for (const one of steps) {
        if (one.do === "add") {
          backlog.add(numbered(count, one));
          model.push({ number: count, droppable: one.droppable });
          count += 1;
        } else if (one.do === "drop") {
          const oldest = model.find(({ droppable }) => droppable);
          assert.equal(backlog.dropOne(0), oldest !== undefined);
          model = model.filter((entry) => entry !== oldest);
        } else {
          const batch = backlog.peek(one.maxBytes);
          assert.deepEqual(
            batch.letters.map(({ kind }) => kind),
            model.slice(0, batch.letters.length).map(({ number }) => number),
          );
          assert.ok(batch.letters.length > 0 || model.length === 0);
          backlog.settle(batch.upTo);
          model = model.slice(batch.letters.length);
        }
        assert.equal(backlog.size, model.length);
      }
      assert.equal(backlog.end, count);
      assert.deepEqual(
        backlog.takeAll().map(({ kind }) => kind),
        model.map(({ number }) => number),
      );
      assert.equal(backlog.bytes, 0);
    }),
  );
});

const numbered = (kind: number, { size, droppable }: { size: number; droppable: boolean }): OutgoingLetter => ({
  kind,
  bytes: Buffer.alloc(size),
  droppable,
});

test("a backlog of a hundred thousand messages is sent to its end, in order", () => {
  const backlog = new Backlog();
  for (let number = 0; number < 100_000; number += 1) backlog.add({ kind: number, bytes: Buffer.alloc(10), droppable: false });
  let next = 0;
  while (!backlog.isEmpty) {
    const { letters, upTo } = backlog.peek(65_536);
    for (const { kind } of letters) assert.equal(kind, next++);
    backlog.settle(upTo);
  }
  assert.equal(next, 100_000);
});

test("a message that is on its way is not dropped", () => {
  const backlog = new Backlog();
  for (let number = 0; number < 3; number += 1) backlog.add({ kind: number, bytes: Buffer.alloc(10), droppable: true });
  assert.equal(backlog.dropOne(2), true);
  assert.deepEqual(
    backlog.peek(1_000).letters.map(({ kind }) => kind),
    [0, 1],
  );
});

test("a claim's token comes out as it went in, and other text is none", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(), fc.nat(), (nodeId, claimedAt, count) =>
      assert.deepEqual(parseToken(formatToken({ nodeId, claimedAt, count })), { nodeId, claimedAt, count }),
    ),
  );
  for (const text of ["", "node", "node/1", "node/1-", "/1-2", "node/x-2"]) assert.equal(parseToken(text), undefined);
});

test("the id after an entry's is the next one, also beyond what a double holds", () => {
  assert.equal(after("5-0"), "5-1");
  assert.equal(after("1700000000000-9007199254740993"), "1700000000000-9007199254740994");
});

const level = fc.constantFrom("a", "b", "");
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"));
const filter = fc
  .tuple(fc.array(fc.constantFrom("a", "b", "", "+"), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ["#"] : [])].join("/"));

test("nodes are found for a topic as MQTT matches their filters, whatever came and went before", () => {
  const change = fc.record({ node: fc.constantFrom("n1", "n2", "n3"), filter, isGone: fc.boolean(), ask: topic });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
      const filters = new NodeFilters();
      const model = new Set<string>();
      for (const { node, filter: one, isGone, ask } of changes) {
        if (isGone) filters.remove(node, one);
        else filters.add(node, one);
        if (isGone) model.delete(`${node} ${one}`);
        else model.add(`${node} ${one}`);
        // Asked every time, so that a forgotten cache shows.
        const expected = [...model].map((entry) => entry.split(" ") as [string, string]).filter(([, known]) => matches(known, ask));
        assert.deepEqual(filters.matching(ask).nodes.toSorted(), [...new Set(expected.map(([name]) => name))].toSorted());
      }
    }),
  );
});

/** MQTT 5 §4.7.1, word for word. */
function matches(filterText: string, topicText: string): boolean {
  const wanted = filterText.split("/");
  const levels = topicText.split("/");
  for (const [index, one] of wanted.entries()) {
    if (one === "#") return true;
    if (index >= levels.length || (one !== "+" && one !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

test("a shared filter is found for its group, with every node that has members, and is no node's own", () => {
  const filters = new NodeFilters();
  filters.add("n1", "$share/g/a/+/b");
  filters.add("n2", "$share/g/a/+/b");
  filters.add("n2", "$share/h//a");
  filters.add("n3", "a/#");
  const found = filters.matching("a/x/b");
  assert.deepEqual(found.nodes, ["n3"]);
  assert.deepEqual([...found.groups], [["g", ["n1", "n2"]]]);
  assert.deepEqual([...filters.matching("/a").groups], [["h", ["n2"]]]);
  filters.remove("n1", "$share/g/a/+/b");
  filters.clear("n3");
  assert.deepEqual(filters.matching("a/x/b"), { nodes: [], groups: new Map([["g", ["n2"]]]) });
  for (const other of ["$share/group", "$share//a", "x/$share/g/a"]) {
    filters.add("n1", other);
    assert.deepEqual(filters.matching(other), { nodes: ["n1"], groups: new Map() });
  }
});
