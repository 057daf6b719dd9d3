import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { temporaryFolder } from "../support/wait.ts";

const RUNNER = path.resolve(import.meta.dirname, "../run.ts");

test("passing tests pass, are counted by their leaves, and leave nothing in the temporary folder", async () => {
  const run = await runOn(
    'describe("suite", () => {\n  it("one", () => {});\n  it("two", () => {});\n});\nmkdtempSync(path.join(tmpdir(), "left-"));\n',
  );
  assert.equal(run.code, 0, run.output);
  assert.match(run.output, /\n2 passed, 0 failed, 0 skipped in 1 files, /);
  assert.deepEqual(run.leftInTemporaryFolder, []);
});

test("a failing test fails the run and is shown with its path, its difference and its cause", async () => {
  const run = await runOn(
    'describe("relay", () => {\n  it("switches", () => {\n    assert.equal("OFF", "ON");\n  });\n});\ntest("late", () => {\n  throw new Error("outer", { cause: new Error("inner") });\n});\ntest("both", () => {\n  using _ = {\n    [Symbol.dispose]() {\n      throw new Error("put away");\n    },\n  };\n  throw new Error("done");\n});\n',
  );
  assert.equal(run.code, 1);
  assert.match(run.output, /✗ relay › switches\n/);
  assert.match(run.output, /'OFF' !== 'ON'/);
  assert.match(run.output, /\[cause\]: Error: inner/);
  assert.match(run.output, /\nfailed:\n {2}.*planted\.test\.ts: relay › switches \(.+\)\n/);
  assert.match(run.output, /Error: done\n[\s\S]*Error: put away\n/);
  assert.match(run.output, /0 passed, 3 failed/);
});

test("a skipped suite is named with its reason, and is a failure in CI", async () => {
  const code = 'test("runs", () => {});\ndescribe("cluster", { skip: "Redis is not installed" }, () => {});\n';
  const plain = await runOn(code);
  assert.equal(plain.code, 0, plain.output);
  assert.match(plain.output, /skipped \(Redis is not installed\):\n {2}.*planted\.test\.ts: cluster\n/);
  assert.equal((await runOn(code, { args: ["--ci"] })).code, 1);
  assert.equal((await runOn(code, { env: { CI: "1" } })).code, 1);
});

test("a test that never ends is ended by the limit, and the others still run", async () => {
  const run = await runOn('test("hangs", () => new Promise(() => {\n  setTimeout(() => {}, 1e6);\n}));\ntest("runs", () => {});\n');
  assert.equal(run.code, 1);
  assert.match(run.output, /✗ hangs\n.*\n.*timed out after 2000ms/);
  assert.match(run.output, /1 passed/);
});

test("a file that never ends, blocks, dies, or holds no test, fails", async () => {
  const files = {
    'test("leaks", () => {\n  createServer().listen(0, "127.0.0.1");\n});\n': /no test was open for 2 s, but the file did not end/,
    'test("blocks", () => {\n  for (;;);\n});\n': /something is left open, or blocks/,
    "process.exit(7);\n": /the file ended with 7/,
    'import "./absent.ts";\n': /ERR_MODULE_NOT_FOUND/,
    "export const nothing = 1;\n": /the file holds no test/,
  };
  for (const [code, expected] of Object.entries(files)) {
    const run = await runOn(code);
    assert.equal(run.code, 1, code);
    assert.match(run.output, expected);
  }
});

test("a process that outlives its tests is told and killed", async () => {
  const run = await runOn('test("starts", () => {\n  spawn("sleep", ["3213"], { stdio: "ignore" }).unref();\n});\n');
  assert.equal(run.code, 1);
  assert.match(run.output, /processes outlived the tests and were killed\)\n\s+sleep 3213/);
});

test("tests see neither the developer's hub settings nor another Node", async () => {
  const code =
    'test("sees", () => {\n  assert.equal(process.env.HEXA_DATA_DIR, undefined);\n  assert.equal(execFileSync("node", ["-p", "process.execPath"], { encoding: "utf8" }).trim(), process.execPath);\n});\n';
  const run = await runOn(code, { env: { HEXA_DATA_DIR: "/somewhere" } });
  assert.equal(run.code, 0, run.output);
});

test("a file that needs the machine for itself runs after the others", async () => {
  using planted = temporaryFolder("hexahub-planted");
  const mark = JSON.stringify(path.join(planted.path, "mark"));
  const alone = path.join(planted.path, "a.alone.test.ts");
  const other = path.join(planted.path, "b.test.ts");
  writeFileSync(alone, `${IMPORTS}test("comes last", () => assert.ok(existsSync(${mark})));\n`);
  writeFileSync(other, `${IMPORTS}test("comes first", () => mkdirSync(${mark}));\n`);
  const run = await runWith(["--concurrency", "1", alone, other]);
  assert.equal(run.code, 0, run.output);
  assert.match(run.output, /2 passed/);
});

test("a path without tests and a wrong option are errors", async () => {
  assert.equal((await runWith(["test/absent"])).code, 1);
  assert.equal((await runWith(["--concurrency", "none"])).code, 2);
  assert.equal((await runWith(["--absent"])).code, 2);
});

const IMPORTS = [
  'import assert from "node:assert/strict";',
  'import { execFileSync, spawn } from "node:child_process";',
  'import { existsSync, mkdirSync, mkdtempSync } from "node:fs";',
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

async function runOn(
  code: string,
  options: { args?: string[]; env?: Record<string, string> } = {},
): Promise<Run & { leftInTemporaryFolder: string[] }> {
  using planted = temporaryFolder("hexahub-planted");
  using scratch = temporaryFolder("hexahub-scratch");
  const file = path.join(planted.path, "planted.test.ts");
  writeFileSync(file, IMPORTS + code);
  const run = await runWith(["--limit", "2", ...(options.args ?? []), file], { TMPDIR: scratch.path, ...options.env });
  return { ...run, leftInTemporaryFolder: readdirSync(scratch.path) };
}

/** The loop goes on meanwhile, or whoever runs this file would think that it hangs. */
async function runWith(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const { CI: _ci, ...rest } = process.env;
  const child = spawn(process.execPath, [RUNNER, ...args], { env: { ...rest, HEXA_TEST_NO_APT: "1", ...env }, timeout: 60_000 });
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, output: output + errors };
}
