import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorCode, HubError, SetupError } from "../../core/errors.ts";

const codes = Object.keys(ERRORS) as ErrorCode[];

test("every code is snake_case with a status that is an error and a title that is a sentence", () => {
  for (const code of codes) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(ERRORS[code].status >= 400 && ERRORS[code].status < 600, code);
    assert.match(ERRORS[code].title, /^[A-Z].*[^.]$/);
  }
});

for (const [code, status] of [
  ["validation_error", 400],
  ["unauthorized", 401],
  ["forbidden", 403],
  ["not_found", 404],
  ["device_offline", 409],
  ["payload_too_large", 413],
  ["https_required", 426],
  ["rate_limited", 429],
  ["internal_error", 500],
  ["unavailable", 503],
  ["command_timeout", 504],
] as const) {
  test(`${code} answers ${status}, which scripts rely on`, () => assert.equal(new HubError(code, "x").status, status));
}

test("an error keeps its cause and its details", () => {
  const cause = new Error("below");
  const error = new HubError("unavailable", "the database is away", { cause, details: { tried: 3 } });
  assert.equal(error.cause, cause);
  assert.deepEqual(error.details, { tried: 3 });
  assert.equal(error.name, "HubError");
});

test("without details they are null, as the envelope has them, and without a cause there is none", () => {
  const error = new HubError("not_found", "x");
  assert.equal(error.details, null);
  assert.ok(!("cause" in error));
});

test("a reason not to start says where and how to mend it", () => {
  const error = new SetupError("the folder is not writable", "./data", "chown it");
  assert.deepEqual(
    [error.message, error.where, error.mend, error.name],
    ["the folder is not writable", "./data", "chown it", "SetupError"],
  );
});
