import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { judgeAudit, judgeInstallScripts } from "./support/gates.ts";
import type { Outcome } from "./support/gates.ts";
import { findProgram } from "./support/services.ts";

const ROOT = path.dirname(import.meta.dirname);
const LIMIT_MS = 180_000;

interface Check {
  name: string;
  run: () => Promise<Outcome>;
}

const CHECKS: readonly Check[] = [
  { name: "types", run: () => tool("typescript/bin/tsc", ["--noEmit"]) },
  { name: "console", run: consoleTypes },
  { name: "lint", run: () => tool("oxlint/bin/oxlint", ["--deny-warnings"]) },
  { name: "format", run: () => tool("@biomejs/biome/bin/biome", ["format", "--max-diagnostics=20", "."]) },
  { name: "dead-code", run: () => tool("knip/bin/knip.js", ["--no-progress"]) },
  { name: "docs", run: () => node(["hexahub.js", "docs", "--check"]) },
  { name: "openapi", run: () => node(["test/lint-openapi.ts"]) },
  { name: "install-scripts", run: async () => judgeInstallScripts(readJson("package-lock.json"), readJson("package.json")) },
  { name: "compose", run: composeIsValid },
  { name: "audit", run: audit },
];

process.exitCode = await main(process.argv.slice(2));

/** `node test/check.ts [name …]` runs those checks, or all of them. */
async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !CHECKS.some((check) => check.name === name));
  if (unknown.length > 0) {
    console.error(`no such check: ${unknown.join(", ")}; there are ${CHECKS.map((check) => check.name).join(", ")}`);
    return 2;
  }
  const chosen = CHECKS.filter((check) => names.length === 0 || names.includes(check.name));
  const startedAt = performance.now();
  const failed: string[] = [];
  const notRun: string[] = [];
  for (const check of chosen) {
    const from = performance.now();
    const outcome = await check.run();
    const head = `${check.name.padEnd(16)}${seconds(performance.now() - from).padStart(7)}`;
    if (outcome.kind === "passed") console.log(`✓ ${head}${outcome.note ? `  ${outcome.note}` : ""}`);
    if (outcome.kind === "failed") {
      failed.push(check.name);
      console.log(`✗ ${head}\n${outcome.output.trim().replace(/^/gm, "    ")}`);
    }
    if (outcome.kind === "notRun") {
      notRun.push(check.name);
      console.log(`- ${head}  NOT RUN: ${outcome.why}`);
    }
  }
  const counts = [`${chosen.length - failed.length - notRun.length} passed`, listed(failed, "failed"), listed(notRun, "not run")];
  console.log(`\n${counts.join(", ")}; ${seconds(performance.now() - startedAt)}`);
  return failed.length > 0 ? 1 : 0;
}

function listed(names: readonly string[], what: string): string {
  return names.length === 0 ? `0 ${what}` : `${names.length} ${what} (${names.join(", ")})`;
}

/** Those of the API are made of its document, each time anew. */
async function consoleTypes(): Promise<Outcome> {
  const made = await node([
    path.join(ROOT, "api/admin/node_modules/openapi-typescript/bin/cli.js"),
    path.join(ROOT, "docs/openapi.json"),
    "--output",
    path.join(ROOT, "api/admin/src/hub/schema.d.ts"),
  ]);
  return made.kind === "passed" ? await tool("typescript/bin/tsc", ["--noEmit", "--project", path.join(ROOT, "api/admin")]) : made;
}

/** A tool of node_modules, on the Node that runs this. */
function tool(script: string, args: readonly string[]): Promise<Outcome> {
  return node([path.join(ROOT, "node_modules", script), ...args]);
}

async function node(args: readonly string[]): Promise<Outcome> {
  const { code, output } = await capture(process.execPath, args);
  return code === 0 ? { kind: "passed" } : { kind: "failed", output: output || `ended with ${code}` };
}

/** Needs the Docker client with its compose plugin, but no engine. */
async function composeIsValid(): Promise<Outcome> {
  const docker = findProgram("docker");
  if (!docker || (await capture(docker, ["compose", "version"])).code !== 0)
    return { kind: "notRun", why: "docker compose is not installed" };
  const text = readFileSync(path.join(ROOT, "docker-compose.yml"), "utf8");
  // Every variable that must be set, since it is the file that is checked here and not somebody's settings.
  const required = [...text.matchAll(/\$\{([A-Z_]+):\?/g)].map(([, name = ""]) => [name, "value-for-the-check"]);
  const { code, output } = await capture(docker, ["compose", "--profile", "*", "config", "--quiet"], Object.fromEntries(required));
  return code === 0 ? { kind: "passed" } : { kind: "failed", output };
}

async function audit(): Promise<Outcome> {
  const npm = findProgram("npm");
  if (!npm) return { kind: "notRun", why: "npm is not installed" };
  const { stdout } = await capture(npm, ["audit", "--json", "--fetch-timeout=20000", "--fetch-retries=1"]);
  return judgeAudit(stdout);
}

interface Captured {
  code: number | string;
  stdout: string;
  /** stdout and stderr as they came. */
  output: string;
}

function capture(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Captured> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: LIMIT_MS,
    });
    let stdout = "";
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      output += chunk;
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
    child.once("error", (error) => resolve({ code: error.message, stdout, output: output + error.message }));
    child.once("close", (code, signal) => resolve({ code: code ?? signal ?? "nothing", stdout, output }));
  });
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(path.join(ROOT, name), "utf8"));
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
