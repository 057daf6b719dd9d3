import { execFileSync } from "node:child_process";
import { chmodSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { installServices } from "./support/install-services.ts";
import type { RunDatabases } from "./support/run-databases.ts";
import { runFile } from "./support/run-file.ts";
import type { FileLimits, FileResult } from "./support/run-file.ts";

const USAGE = `Usage: node test/run.ts [options] [path …]

Runs test/**/*.test.ts, or those below the paths given, each in a process of its own; *.alone.test.ts, which measure or need the whole
machine, after the others and one at a time; *.lan.test.ts in a network of its own, where Linux allows it. What some suites need (PostgreSQL, Redis, mosquitto,
paho-mqtt, NATS, libfaketime, iproute2, Chromium) is installed through apt-get when this runs as root; where it stays missing, those suites are skipped.

  --ci             a skipped suite is a failure (also when CI is set)
  --concurrency N  files at a time (3: most wait more than they work)
  --limit S        seconds for one test that sets no limit itself (60)
  --soak           runs test/**/*.soak.ts instead
  --minutes N      how long each soak suite works (10); it reads SOAK_MINUTES
  HEXA_TEST_NO_APT set: nothing is installed
`;

const ROOT = path.dirname(import.meta.dirname);
const MINUTE_MS = 60_000;
const MANY_FILES = 10;
/** The types of a test file and of all that it needs are stripped once, and not in every run of it. */
const COMPILE_CACHE = path.join(ROOT, "node_modules/.cache/hexahub-test");

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) return 2;
  const startedAt = performance.now();
  const files = findFiles(options.soak ? "soak" : "test", options.paths);
  if (files.length === 0) {
    console.error(
      `no ${options.soak ? "soak suite" : "test file"} ${options.paths.length > 0 ? `below ${options.paths.join(", ")}` : "found"}`,
    );
    return 1;
  }
  const missing = await installServices({ allowed: !process.env.HEXA_TEST_NO_APT, say: (line) => console.log(line) });
  if (missing.length > 0) console.log(`missing, so that suites are skipped: ${missing.join(", ")}`);
  // In a process of its own, whose memory goes with it.
  execFileSync(process.execPath, [path.join(ROOT, "api/admin/build.ts")], { stdio: "inherit" });
  if (options.soak) console.log(`soak: ${files.length} suites of ${options.minutes} min each, ${options.concurrency} at a time`);

  // One folder for all that the tests leave in the temporary folder; others may walk through it, since PostgreSQL runs as another user.
  const scratch = mkdtempSync(path.join(tmpdir(), "hexahub-test-"));
  chmodSync(scratch, 0o711);
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => interrupted.abort(name));
  try {
    const job = {
      limits: limitsOf(options),
      env: testEnvironment(scratch, options.soak ? options.minutes : undefined),
      signal: interrupted.signal,
    };
    await using databases = files.length > MANY_FILES ? await openDatabases() : undefined;
    const results = await runAll(files, options.concurrency, { job, databases });
    const failed = summarise(results, { ...options, totalMs: performance.now() - startedAt });
    if (!interrupted.signal.aborted) return failed ? 1 : 0;
    console.log(`interrupted by ${String(interrupted.signal.reason)}: ${files.length - results.length} files not run`);
    return 130;
  } finally {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

interface Options {
  ci: boolean;
  soak: boolean;
  minutes: number;
  concurrency: number;
  limitS: number;
  paths: string[];
}

function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        ci: { type: "boolean", default: isOn(process.env.CI) },
        concurrency: { type: "string", default: "3" },
        limit: { type: "string", default: "60" },
        soak: { type: "boolean", default: false },
        minutes: { type: "string", default: "10" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const minutes = Number(values.minutes);
    const concurrency = Number(values.concurrency);
    const limitS = Number(values.limit);
    if (!values.help && minutes > 0 && limitS > 0 && Number.isInteger(concurrency) && concurrency > 0) {
      return { ci: values.ci, soak: values.soak, minutes, concurrency, limitS, paths: positionals };
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
  console.error(USAGE);
  return undefined;
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== "" && value !== "0" && value !== "false";
}

function findFiles(kind: "test" | "soak", paths: readonly string[]): string[] {
  const wanted = paths.map((given) => path.resolve(given));
  const all = globSync(`test/**/*.${kind}.ts`, { cwd: ROOT }).map((file) => path.join(ROOT, file));
  // Also files elsewhere, when they are named: that is how the runner is tested itself.
  const named = wanted.filter((file) => file.endsWith(`.${kind}.ts`) && !all.includes(file));
  const below = all.filter((file) => wanted.length === 0 || wanted.some((at) => file === at || file.startsWith(at + path.sep)));
  return [...below, ...named].toSorted();
}

function limitsOf({ soak, minutes, limitS }: Options): FileLimits {
  const soakMs = soak ? minutes * MINUTE_MS : 0;
  const testMs = limitS * 1000;
  return { testMs: soakMs + testMs, fileMs: soakMs + 6 * testMs, idleMs: Math.min(testMs, 20_000) };
}

/** Nothing of the developer's own hub reaches the tests; `node` is the one that runs this. */
function testEnvironment(scratch: string, minutes: number | undefined): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(HEXA_|DATABASE_URL|JWT_SECRET|DEVICE_PROVISION_KEY|ENFORCE_HTTPS|TRUST_PROXY|NODE_TEST)/.test(name),
  );
  const folders = [path.dirname(process.execPath), path.join(ROOT, "node_modules/.bin"), process.env.PATH ?? ""];
  return {
    ...Object.fromEntries(own),
    PATH: folders.join(path.delimiter),
    TMPDIR: scratch,
    ...(minutes === undefined ? {} : { SOAK_MINUTES: String(minutes) }),
    NO_COLOR: "1",
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
}

/** For a few files it is not worth its time. */
async function openDatabases(): Promise<RunDatabases> {
  const { openRunDatabases } = await import("./support/run-databases.ts");
  return await openRunDatabases();
}

interface Together {
  readonly job: Parameters<typeof runFile>[1];
  readonly databases: RunDatabases | undefined;
}

async function runAll(files: readonly string[], concurrency: number, { job, databases }: Together): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const run = async (file: string): Promise<FileResult> => {
    if (!databases) return await runFile(file, job);
    return await databases.use((env) => runFile(file, { ...job, env: { ...job.env, ...env } }));
  };
  const worker = async (waiting: string[]) => {
    for (let file = waiting.shift(); file !== undefined && !job.signal.aborted; file = waiting.shift()) {
      const result = await run(file);
      results.push(result);
      printFile(result);
    }
  };
  const { alone = [], together = [] } = Object.groupBy(files, (file) => (file.endsWith(".alone.test.ts") ? "alone" : "together"));
  await Promise.all(Array.from({ length: Math.min(concurrency, together.length) }, () => worker(together)));
  await worker(alone);
  return results;
}

function printFile(result: FileResult): void {
  const mark = result.failed.length > 0 ? "✗" : result.passed > 0 ? "✓" : "-";
  const skipped = result.skipped.length > 0 ? `, ${result.skipped.length} skipped` : "";
  console.log(`${mark} ${nameOf(result.file)}  ${result.passed} passed${skipped}  ${seconds(result.durationMs)}`);
  for (const line of result.measured) console.log(`    ${line}`);
  for (const { name, details } of result.failed) {
    console.log(`    ✗ ${name}`);
    if (details !== "") console.log(details.replace(/^/gm, "      "));
  }
  if (result.failed.length > 0 && result.output !== "") console.log(`    it printed:\n${result.output.replace(/^/gm, "      ")}`);
}

/** Prints the closing summary; true when the run failed. */
function summarise(results: readonly FileResult[], { ci, totalMs }: { ci: boolean; totalMs: number }): boolean {
  const failed = results.flatMap(({ file, failed: all }) => all.map(({ name, details }) => `${nameOf(file)}: ${name}${reasonIn(details)}`));
  const skipped = results.flatMap(({ file, skipped: all }) => all.map((skip) => ({ ...skip, file })));
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  console.log("");
  for (const reason of new Set(skipped.map((skip) => skip.reason))) {
    console.log(`skipped (${reason}):`);
    for (const skip of skipped.filter((each) => each.reason === reason)) console.log(`  ${nameOf(skip.file)}: ${skip.name}`);
  }
  if (failed.length > 0) console.log(["failed:", ...failed.map((name) => `  ${name}`)].join("\n"));
  const slowest = results.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, 5);
  console.log(`slowest: ${slowest.map((result) => `${nameOf(result.file)} ${seconds(result.durationMs)}`).join(", ")}`);
  console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped in ${results.length} files, ${seconds(totalMs)}`);
  if (ci && skipped.length > 0) console.log("a skipped suite is a failure here (CI)");
  return failed.length > 0 || (ci && skipped.length > 0);
}

/** What went wrong, in a line to put after a name; the place is not it. */
function reasonIn(details: string): string {
  const line = details.split("\n").find((one) => one.trim() !== "" && !/^\S+:\d+$/.test(one.trim()));
  return line === undefined ? "" : ` (${line.trim().slice(0, 160)})`;
}

function nameOf(file: string): string {
  const relative = path.relative(ROOT, file);
  return relative.startsWith("..") ? file : relative;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
