import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { LiveStream } from "../../api/live/live-streams.ts";
import { LIVE_TOPICS, type LiveSubject } from "../../core/live.ts";
import { newId } from "../../core/id.ts";
import type { UserPrincipal } from "../../core/principal.ts";

const WHO: UserPrincipal = {
  kind: "user",
  id: "ann",
  email: "ann@example.com",
  role: "user",
  organizationId: "home",
  credentialId: "login",
};

function openStream(maySee: (subject: LiveSubject) => boolean = () => true) {
  const ends: string[] = [];
  return { stream: new LiveStream(WHO, { topics: new Set(LIVE_TOPICS), maySee, onEnd: () => ends.push("ended") }), ends };
}
const reading = (entityId: string, text: string) => ({ topic: "live_data", organizationId: "home", entityId, text }) as const;
const event = (text: string, id = newId()) => ({ topic: "device_status", organizationId: "home", entityId: "lamp", id, text }) as const;
const NONE = new Set<string>();

test("of each sensor the newest value waits for a slow reader, behind the events", () => {
  const { stream } = openStream();
  for (let count = 0; count < 5_000; count++) {
    stream.tellReading("lamp t", reading("lamp", `t${count};`));
    stream.tellReading("lamp h", reading("lamp", `h${count};`));
  }
  stream.tellEvent(event("on;"));
  assert.equal(stream.take(NONE), "on;t4999;h4999;");
  assert.equal(stream.take(NONE), "");
});

test("more sensors than are kept for a slow reader are counted and told", () => {
  const { stream, ends } = openStream();
  for (let count = 0; count < 10_007; count++) stream.tellReading(`s${count} t`, reading("lamp", "x"));
  const first = stream.take(NONE);
  assert.equal(first.slice(0, first.indexOf("x")), 'event: dropped\ndata: {"live_data":7}\n\n');
  let told = first.slice(first.indexOf("x")).length;
  for (let next = stream.take(NONE); next !== ""; next = stream.take(NONE)) told += next.length;
  assert.equal(told, 10_000);
  assert.deepEqual(ends, []);
});

test("a reader for whom too many events wait is ended, and has lost none before that", () => {
  const { stream, ends } = openStream();
  for (let count = 0; count < 1_000; count++) stream.tellEvent(event("e"));
  assert.deepEqual(ends, []);
  stream.tellEvent(event("e"));
  assert.deepEqual(ends, ["ended"]);
  assert.equal(stream.take(NONE).length + stream.take(NONE).length, 1_000);
});

test("what waits is not told to who has lost the right meanwhile, and no event twice", () => {
  let isOpen = true;
  const { stream } = openStream(({ entityId }) => isOpen || entityId !== "lamp");
  stream.tellReading("lamp t", reading("lamp", "lamp;"));
  stream.tellReading("door t", reading("door", "door;"));
  stream.tellEvent(event("event;"));
  isOpen = false;
  assert.equal(stream.take(NONE), "door;");
  isOpen = true;
  const twice = newId();
  stream.tellEvent(event("again;", twice));
  assert.equal(stream.take(new Set([twice])), "");
});

test("a sign of life is due when the time is up, and not when something came before that", async () => {
  const { stream } = openStream();
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const quiet = stream.next(15_000);
    mock.timers.tick(15_000);
    assert.equal(await quiet, false);
    const stirred = stream.next(15_000);
    stream.tellEvent(event("on;"));
    assert.equal(await stirred, true);
    const ended = stream.next(15_000);
    stream.end();
    assert.equal(await ended, true);
  } finally {
    mock.timers.reset();
  }
});
