import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { mock, test } from "node:test";
import { temporaryFolder, until } from "../support/wait.ts";

test("until gives back the first truthy value", async () => {
  let round = 0;
  assert.equal(await until(() => (++round > 3 ? `round ${round}` : undefined), { what: "the fourth round" }), "round 4");
});

test("until waits out a check that throws, and tells the last error when it gives up", async () => {
  let round = 0;
  const flaky = () => {
    round += 1;
    if (round < 3) throw new Error("not yet");
    return round;
  };
  assert.equal(await until(flaky, { what: "it to hold" }), 3);
  const failure = new Error("refused");
  const error = await failureOf(until(() => Promise.reject(failure), { what: "the port", timeoutMs: 30 }));
  assert.match(error.message, /^gave up waiting for the port after 30 ms; last error: refused$/);
  assert.equal(error.cause, failure);
});

test("until tells the last value when it gives up", async () => {
  const seen = { got: 2 };
  const error = await failureOf(until(() => (seen.got === 3 ? seen : false), { what: "three messages", timeoutMs: 20 }));
  assert.match(error.message, /three messages after 20 ms; last seen: false/);
});

test("until gives up on a check that never comes back", async () => {
  const error = await failureOf(until(() => new Promise<boolean>(() => {}), { what: "an answer", timeoutMs: 30 }));
  assert.match(error.message, /an answer after 30 ms; the check never came back/);
});

test("until goes on while the timers are mocked", async () => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  try {
    let round = 0;
    assert.equal(await until(() => ++round === 3, { what: "the third round" }), true);
  } finally {
    mock.timers.reset();
  }
});

test("a temporary folder is gone with its content after the block", async () => {
  let at = "";
  {
    await using folder = temporaryFolder();
    at = folder.path;
    writeFileSync(path.join(at, "file"), "content");
  }
  assert.equal(existsSync(at), false);
});

async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}
