import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeAudit, judgeInstallScripts } from "../support/gates.ts";

const MANIFEST = { allowScripts: { node: true } };

test("an install script is refused unless package.json names the package", () => {
  const allowed = { packages: { "": {}, "node_modules/node": { hasInstallScript: true }, "node_modules/koa": {} } };
  assert.equal(judgeInstallScripts(allowed, MANIFEST).kind, "passed");
  const nested = { packages: { ...allowed.packages, "node_modules/koa/node_modules/sneaky": { hasInstallScript: true } } };
  const outcome = judgeInstallScripts(nested, MANIFEST);
  assert.equal(outcome.kind, "failed");
  assert.match(outcome.kind === "failed" ? outcome.output : "", /^node_modules\/koa\/node_modules\/sneaky /);
});

test("a package named like an allowed one, but in a scope, is not allowed", () => {
  const lock = { packages: { "node_modules/@sneaky/node": { hasInstallScript: true } } };
  assert.equal(judgeInstallScripts(lock, MANIFEST).kind, "failed");
});

test("a lock file without packages is not taken for a clean one", () => {
  for (const lock of [{}, { packages: {} }, null, "text"]) assert.equal(judgeInstallScripts(lock, MANIFEST).kind, "failed");
});

test("an audit that did not happen is told apart from a clean one", () => {
  const answers = ["", "<html>", "{}", "null", '{"message":"405 Method Not Allowed"}', '{"error":{"summary":"no network"}}'];
  for (const answer of answers) assert.equal(judgeAudit(answer).kind, "notRun", answer);
  assert.deepEqual(judgeAudit('{"error":{"summary":"no network"}}'), { kind: "notRun", why: "the registry gave no audit: no network" });
});

test("an audit passes without findings, notes low ones and fails on grave ones", () => {
  assert.deepEqual(judgeAudit(auditReport({ total: 0 })), { kind: "passed", note: "nothing known" });
  assert.deepEqual(judgeAudit(auditReport({ total: 1, low: 1 }, { leftpad: { severity: "low" } })), {
    kind: "passed",
    note: "below high: leftpad: low",
  });
  assert.deepEqual(judgeAudit(auditReport({ total: 1, critical: 1 }, { leftpad: { severity: "critical" } })), {
    kind: "failed",
    output: "leftpad: critical",
  });
});

function auditReport(counts: Record<string, number>, vulnerabilities: Record<string, unknown> = {}): string {
  return JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: { vulnerabilities: counts } });
}
