import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/wait.ts";

const RUNNER = path.resolve(import.meta.dirname, "../run.ts");

test("passing tests pass, are counted by their leaves, and leave nothing in the temporary folder", () => {
  const run = runOn(
    'describe("suite", () => {\n  it("one", () => {});\n  it("two", () => {});\n});\nmkdtempSync(path.join(tmpdir(), "left-"));\n',
  );
  assert.equal(run.code, 0, run.output);
  assert.match(run.output, /\n2 passed, 0 failed, 0 skipped in 1 files, /);
  assert.deepEqual(run.leftInTemporaryFolder, []);
});

test("a failing test fails the run and is shown with its path, its difference and its cause", () => {
  const run = runOn(
    'describe("relay", () => {\n  it("switches", () => {\n    assert.equal("OFF", "ON");\n  });\n});\ntest("late", () => {\n  throw new Error("outer", { cause: new Error("inner") });\n});\n',
  );
  assert.equal(run.code, 1);
  assert.match(run.output, /✗ relay › switches\n/);
  assert.match(run.output, /'OFF' !== 'ON'/);
  assert.match(run.output, /\[cause\]: Error: inner/);
  assert.match(run.output, /0 passed, 2 failed/);
});

test("a skipped suite is named with its reason, and is a failure in CI", () => {
  const code = 'test("runs", () => {});\ndescribe("cluster", { skip: "Redis is not installed" }, () => {});\n';
  const plain = runOn(code);
  assert.equal(plain.code, 0, plain.output);
  assert.match(plain.output, /skipped \(Redis is not installed\):\n {2}.*planted\.test\.ts: cluster\n/);
  assert.equal(runOn(code, { args: ["--ci"] }).code, 1);
  assert.equal(runOn(code, { env: { CI: "1" } }).code, 1);
});

test("a test that never ends is ended by the limit, and the others still run", () => {
  const run = runOn('test("hangs", () => new Promise(() => {\n  setTimeout(() => {}, 1e6);\n}));\ntest("runs", () => {});\n');
  assert.equal(run.code, 1);
  assert.match(run.output, /✗ hangs\n.*\n.*timed out after 2000ms/);
  assert.match(run.output, /1 passed/);
});

test("a file that never ends, blocks, dies, or holds no test, fails", () => {
  const files = {
    'test("leaks", () => {\n  createServer().listen(0, "127.0.0.1");\n});\n': /no test was open for 2 s, but the file did not end/,
    'test("blocks", () => {\n  for (;;);\n});\n': /something is left open, or blocks/,
    "process.exit(7);\n": /the file ended with 7/,
    'import "./absent.ts";\n': /ERR_MODULE_NOT_FOUND/,
    "export const nothing = 1;\n": /the file holds no test/,
  };
  for (const [code, expected] of Object.entries(files)) {
    const run = runOn(code);
    assert.equal(run.code, 1, code);
    assert.match(run.output, expected);
  }
});

test("a process that outlives its tests is told and killed", () => {
  const run = runOn('test("starts", () => {\n  spawn("sleep", ["3213"], { stdio: "ignore" }).unref();\n});\n');
  assert.equal(run.code, 1);
  assert.match(run.output, /processes outlived the tests and were killed\)\n\s+sleep 3213/);
});

test("tests see neither the developer's hub settings nor another Node", () => {
  const code =
    'test("sees", () => {\n  assert.equal(process.env.HEXA_DATA_DIR, undefined);\n  assert.equal(execFileSync("node", ["-p", "process.execPath"], { encoding: "utf8" }).trim(), process.execPath);\n});\n';
  const run = runOn(code, { env: { HEXA_DATA_DIR: "/somewhere" } });
  assert.equal(run.code, 0, run.output);
});

test("a path without tests and a wrong option are errors", () => {
  assert.equal(runWith(["test/absent"]).code, 1);
  assert.equal(runWith(["--concurrency", "none"]).code, 2);
  assert.equal(runWith(["--absent"]).code, 2);
});

const IMPORTS = [
  'import assert from "node:assert/strict";',
  'import { execFileSync, spawn } from "node:child_process";',
  'import { mkdtempSync } from "node:fs";',
  'import { createServer } from "node:net";',
  'import { tmpdir } from "node:os";',
  'import path from "node:path";',
  'import { describe, it, test } from "node:test";',
  "",
].join("\n");

interface Run {
  code: number | null;
  output: string;
}

function runOn(code: string, options: { args?: string[]; env?: Record<string, string> } = {}): Run & { leftInTemporaryFolder: string[] } {
  using planted = temporaryFolder("hexahub-planted");
  using scratch = temporaryFolder("hexahub-scratch");
  const file = path.join(planted.path, "planted.test.ts");
  writeFileSync(file, IMPORTS + code);
  const run = runWith(["--limit", "2", ...(options.args ?? []), file], { TMPDIR: scratch.path, ...options.env });
  return { ...run, leftInTemporaryFolder: readdirSync(scratch.path) };
}

function runWith(args: readonly string[], env: Record<string, string> = {}): Run {
  const { CI: _ci, ...rest } = process.env;
  const run = spawnSync(process.execPath, [RUNNER, ...args], {
    env: { ...rest, HEXA_TEST_NO_APT: "1", ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  return { code: run.status, output: run.stdout + run.stderr };
}
