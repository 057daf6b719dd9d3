import assert from "node:assert/strict";
import { test } from "node:test";
import { SetupError } from "../../core/errors.ts";
import { hexahub } from "./command-line.ts";

test("prints the version on stdout", async () => {
  assert.deepEqual(await hexahub(["--version"]), { code: 0, stdout: "9.8.7\n", stderr: "" });
});

test("help names every command, has examples and ends well", async () => {
  const { code, stdout } = await hexahub(["--help"]);
  assert.equal(code, 0);
  for (const word of [
    "serve",
    "demo",
    "device",
    "token",
    "audit",
    "encryption",
    "config",
    "db",
    "doctor",
    "docs",
    "Examples:",
    "Exit codes:",
  ])
    assert.ok(stdout.includes(word), `help lacks ${word}`);
});

for (const [what, args] of [
  ["an unknown command", ["srve"]],
  ["an unknown option", ["serve", "--jsn"]],
  ["a missing argument", ["device", "show"]],
  ["a choice that does not exist", ["device", "add", "x", "--class", "toaster"]],
  ["a number out of range", ["device", "cmd", "relay-0000000001", "restart", "--timeout", "5"]],
  ["no command at all", []],
] as const) {
  test(`${what} is wrong usage: code 2, nothing on stdout`, async () => {
    const { code, stdout, stderr } = await hexahub(args);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.notEqual(stderr, "");
  });
}

test("suggests the command that was meant", async () => {
  assert.match((await hexahub(["srve"])).stderr, /serve/);
});

test("a wrong setting ends with code 3 and names each problem with its cure", async () => {
  const { code, stderr } = await hexahub(["config", "check"], { env: { HEXA_HTP_PORT: "1", HEXA_MQTT_PLAIN: "maybe" } });
  assert.equal(code, 3);
  assert.match(stderr, /HEXA_HTP_PORT is not a setting\n {2}did you mean HEXA_HTTP_PORT\?/);
  assert.match(stderr, /HEXA_MQTT_PLAIN .*"maybe"\n {2}give it loopback, lan or off/);
});

test("with --json a failure is one JSON object on stderr", async () => {
  const { code, stdout, stderr } = await hexahub(["config", "check", "--json"], { env: { HEXA_MQTT_PLAIN: "maybe" } });
  assert.equal(code, 3);
  assert.equal(stdout, "");
  const failure = JSON.parse(stderr);
  assert.equal(failure.code, "configuration");
  assert.equal(failure.problems[0].variable, "HEXA_MQTT_PLAIN");
});

test("config print masks secrets, as text and as JSON", async () => {
  const env = { JWT_SECRET: "s".repeat(32), DATABASE_URL: "postgres://hub:hunter22@db.example/hub", HEXA_HTTP_PORT: "9090" };
  for (const args of [
    ["config", "print"],
    ["config", "print", "--json"],
  ]) {
    const { code, stdout } = await hexahub(args, { env });
    assert.equal(code, 0);
    assert.match(stdout, /9090/);
    assert.doesNotMatch(stdout, /ssss|hunter22/);
    assert.match(stdout, /db\.example\/hub/);
  }
});

test("serve gets the settings and whether to speak JSON, wherever --json stands", async () => {
  for (const args of [
    ["serve", "--json"],
    ["--json", "serve"],
  ]) {
    const seen: unknown[] = [];
    const { code } = await hexahub(args, {
      env: { HEXA_HTTP_PORT: "0" },
      actions: { serve: async ({ httpPort }, options) => void seen.push(httpPort, options) },
    });
    assert.equal(code, 0);
    assert.deepEqual(seen, [0, { json: true }]);
  }
});

test("a reason not to start ends with code 3, its place and its cure", async () => {
  const serve = async () => {
    throw new SetupError("the folder is in use by another hub", "./data", "stop it first");
  };
  assert.deepEqual(await hexahub(["serve"], { actions: { serve } }), {
    code: 3,
    stdout: "",
    stderr: "✗ the folder is in use by another hub (./data)\n  stop it first\n",
  });
});

test("a bug ends with code 1", async () => {
  const serve = async () => {
    throw new TypeError("x is not a function");
  };
  const { code, stderr } = await hexahub(["serve"], { actions: { serve } });
  assert.equal(code, 1);
  assert.match(stderr, /TypeError: x is not a function/);
});

test("db status lists what ran and what is due", async () => {
  const dbStatus = async () => ({ done: ["001_start"], pending: ["002_more"] });
  assert.equal((await hexahub(["db", "status"], { actions: { dbStatus } })).stdout, "done     001_start\npending  002_more\n");
  assert.deepEqual(JSON.parse((await hexahub(["db", "status", "--json"], { actions: { dbStatus } })).stdout), {
    done: ["001_start"],
    pending: ["002_more"],
  });
});

test("db migrate says what it did", async () => {
  assert.equal(
    (await hexahub(["db", "migrate"], { actions: { dbMigrate: async () => ({ done: ["001_start"] }) } })).stdout,
    "done  001_start\n",
  );
  assert.equal((await hexahub(["db", "migrate"])).stdout, "the schema is up to date\n");
});

test("docs --check fails when a document is out of date, docs alone writes it", async () => {
  const docs = async () => ({ changed: ["docs/topics.md"] });
  assert.equal((await hexahub(["docs", "--check"], { actions: { docs } })).code, 1);
  assert.deepEqual(await hexahub(["docs"], { actions: { docs } }), { code: 0, stdout: "written  docs/topics.md\n", stderr: "" });
});
