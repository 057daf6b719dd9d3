import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { createStorageWatch, type StorageWatch } from "../../broker/storage-watch.ts";
import { HubError } from "../../core/errors.ts";

const FULL = new HubError("storage_full", "no room");

/** A watch over a disk that has room or not, with the time in the test's hand. */
function scene(): { watch: StorageWatch; told: string[]; disk: { isFull: boolean }; probes: () => number } {
  const told: string[] = [];
  const disk = { isFull: false };
  let probes = 0;
  const note = (_data: object, message: string): void => void told.push(message);
  const watch: StorageWatch = createStorageWatch({
    log: { debug: note, info: note, warn: note, error: note },
    monotonic: Date.now,
    probe() {
      probes++;
      if (disk.isFull) watch.failed(FULL);
      else watch.worked();
    },
  });
  return { watch, told, disk, probes: () => probes };
}

beforeEach(() => mock.timers.enable({ apis: ["setInterval", "Date"] }));
afterEach(() => mock.timers.reset());

test("the alarm is raised once, however many writes fail", () => {
  const { watch, told, disk } = scene();
  disk.isFull = true;
  for (let n = 0; n < 100; n++) assert.equal(watch.failed(FULL), true);
  mock.timers.tick(60_000);
  assert.equal(watch.isFull, true);
  assert.equal(told.length, 1);
});

test("the alarm ends by itself within 5 s of room, and not while something still fails", () => {
  const { watch, told, disk } = scene();
  disk.isFull = true;
  watch.failed(FULL);
  mock.timers.tick(20_000);
  disk.isFull = false;
  for (let n = 0; n < 10; n++) {
    // A big one fails while small ones fit.
    watch.failed(FULL);
    mock.timers.tick(1_000);
    assert.equal(watch.isFull, true);
  }
  mock.timers.tick(4_000);
  assert.equal(watch.isFull, false);
  assert.equal(told.length, 2);
});

test("nothing is probed without an alarm, after it and after the end", () => {
  const { watch, disk, probes } = scene();
  mock.timers.tick(60_000);
  assert.equal(probes(), 0);
  watch.failed(FULL);
  mock.timers.tick(10_000);
  assert.equal(watch.isFull, false);
  const after = probes();
  mock.timers.tick(60_000);
  assert.equal(probes(), after);
  disk.isFull = true;
  watch.failed(FULL);
  watch[Symbol.dispose]();
  mock.timers.tick(60_000);
  assert.equal(probes(), after);
});

test("other failures are somebody else's to tell", () => {
  const { watch, told } = scene();
  assert.equal(watch.failed(new HubError("unavailable", "the database does not answer")), false);
  assert.equal(watch.failed(new Error("a bug")), false);
  assert.equal(watch.isFull, false);
  assert.deepEqual(told, []);
});
