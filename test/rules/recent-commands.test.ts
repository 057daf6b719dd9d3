import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Actor } from "../../core/principal.ts";
import { createRecentCommands } from "../../rules/recent-commands.ts";

const ADA: Actor = { kind: "user", id: "ada" };
const RULE: Actor = { kind: "rule", id: "ada" };
const NOW = Date.UTC(2026, 6, 1, 12);

test("commands are counted by who asked for them and by the device", () => {
  const recent = createRecentCommands();
  assert.deepEqual(recent.of(ADA, "one", NOW), { byActorInMinute: 0, byDeviceInMinute: 0, failedInHour: 0, isFirstFromActor: true });
  recent.note(ADA, "one", NOW);
  recent.note(RULE, "one", NOW);
  recent.note(ADA, "two", NOW);
  recent.ended("one", "ok", NOW);
  recent.ended("one", "expired", NOW);
  recent.ended("one", "timeout", NOW);
  recent.ended("one", "error", NOW);
  assert.deepEqual(recent.of(ADA, "one", NOW), { byActorInMinute: 2, byDeviceInMinute: 2, failedInHour: 2, isFirstFromActor: false });
  assert.deepEqual(recent.of(RULE, "two", NOW), { byActorInMinute: 1, byDeviceInMinute: 1, failedInHour: 0, isFirstFromActor: true });
  const later = recent.of(ADA, "one", NOW + 70_000);
  assert.deepEqual(later, { byActorInMinute: 0, byDeviceInMinute: 0, failedInHour: 2, isFirstFromActor: false });
  assert.equal(recent.of(ADA, "one", NOW + 4_000_000).failedInHour, 0);
});

test("a minute's count is never too low, and too high by five seconds at most, while time goes on", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30_000 }), { minLength: 1, maxLength: 60 }), (pauses) => {
      const recent = createRecentCommands();
      const times: number[] = [];
      let now = NOW;
      for (const pause of pauses) {
        now += pause;
        times.push(now);
        recent.note(ADA, "one", now);
        const counted = recent.of(ADA, "one", now).byActorInMinute;
        const within = (ms: number): number => times.filter((at) => at > now - ms).length;
        assert.ok(counted >= within(60_000) && counted <= within(65_000), `${counted}`);
      }
    }),
  );
});

test("a clock that was wrong for a while does not stop the counting", () => {
  const recent = createRecentCommands();
  recent.note(ADA, "one", NOW + 365 * 86_400_000);
  assert.equal(recent.of(ADA, "one", NOW).byActorInMinute, 0);
  recent.note(ADA, "one", NOW);
  recent.note(ADA, "one", NOW - 1_000);
  assert.equal(recent.of(ADA, "one", NOW).byActorInMinute, 2);
  assert.equal(recent.of(ADA, "one", NOW + 70_000).byActorInMinute, 0);
});

test("where there is no more room, whoever was not heard of for longest is forgotten", () => {
  const recent = createRecentCommands({ actors: 2, devices: 2, pairs: 2 });
  const actors = ["a", "b", "c"].map((id): Actor => ({ kind: "user", id }));
  for (const actor of actors) recent.note(actor, `device of ${actor.id}`, NOW);
  const known = actors.map((actor) => recent.of(actor, `device of ${actor.id}`, NOW));
  assert.deepEqual(
    known.map(({ byActorInMinute, byDeviceInMinute, isFirstFromActor }) => [byActorInMinute, byDeviceInMinute, isFirstFromActor]),
    [
      [0, 0, true],
      [1, 1, false],
      [1, 1, false],
    ],
  );
});
