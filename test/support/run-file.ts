import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { inOwnNetwork } from "./own-network.ts";
import type { Report } from "./reporter.ts";
import { until } from "./wait.ts";

export interface FileLimits {
  /** For one test or hook that sets no limit itself. */
  testMs: number;
  /** For the whole file, from start to exit. */
  fileMs: number;
  /** For leaving once no test is open; also for loading the file. */
  idleMs: number;
}

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly skipped: readonly { name: string; reason: string }[];
  /** `name` is the path of the test, or what went wrong with the file as a whole. */
  readonly failed: readonly { name: string; details: string }[];
  /** What its tests found out besides, as they say it. */
  readonly measured: readonly string[];
  /** The end of what the file printed. */
  readonly output: string;
  readonly durationMs: number;
}

/**
 * Runs one test file in a process of its own and comes back when that, and all it started, is gone. Fails the file, besides its
 * failing tests, for: no test in it, an exit code, work that goes on after the tests, processes left behind, a limit exceeded.
 */
export async function runFile(
  file: string,
  options: { limits: FileLimits; env: NodeJS.ProcessEnv; signal: AbortSignal },
): Promise<FileResult> {
  const { limits, env, signal } = options;
  const startedAt = performance.now();
  const reporter = new URL("./reporter.ts", import.meta.url).href;
  const args = [`--test-timeout=${limits.testMs}`, `--test-reporter=${reporter}`, "--test-reporter-destination=stdout", file];
  // A group of its own, so that everything the file started can be found and ended.
  const plain = [process.execPath, ...args];
  const [command = "", ...rest] = file.endsWith(".lan.test.ts") ? inOwnNetwork(plain) : plain;
  const child = spawn(command, rest, { env, stdio: ["ignore", "pipe", "pipe", "ipc"], detached: true });
  const output = keepTail(child);
  const seen = {
    passed: 0,
    skipped: [] as { name: string; reason: string }[],
    failed: [] as { name: string; details: string }[],
    measured: [] as string[],
  };
  const watch = startWatch(child, limits);
  child.on("message", (message) => {
    const report = message as Report;
    watch.note(report);
    if (report.kind === "passed") seen.passed += 1;
    if (report.kind === "skipped") seen.skipped.push({ name: nameOf(report.path), reason: report.reason });
    if (report.kind === "failed") seen.failed.push({ name: nameOf(report.path), details: `${relative(report.where)}\n${report.error}` });
    if (report.kind === "measured") seen.measured.push(report.message);
    if (report.kind === "stray") seen.failed.push({ name: "(work went on after its test ended)", details: report.message });
  });
  const abort = () => endGroup(child);
  signal.addEventListener("abort", abort, { once: true });
  const code = await exitOf(child);
  watch.stop();
  signal.removeEventListener("abort", abort);
  const leftBehind = await endLeftovers(child);
  await output.closed(2_000);

  const whole = (name: string, details = "") => seen.failed.push({ name: `(${name})`, details });
  const verdict = watch.verdict();
  if (verdict !== undefined) whole(verdict);
  else if (code !== 0 && seen.failed.length === 0) whole(`the file ended with ${code}`);
  if (leftBehind.length > 0) whole("processes outlived the tests and were killed", leftBehind.join("\n"));
  if (code === 0 && seen.passed + seen.skipped.length + seen.failed.length === 0) whole("the file holds no test");
  return { file, ...seen, output: output.text(), durationMs: performance.now() - startedAt };
}

/** The exit code, or the signal, or why it could not be started. */
function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "nothing"));
  });
}

interface Watch {
  note(report: Report): void;
  /** Which limit ended the file; undefined if none did. */
  verdict(): string | undefined;
  stop(): void;
}

function startWatch(child: ChildProcess, limits: FileLimits): Watch {
  /** How many of each. */
  const open = new Map<string, number>();
  let verdict: string | undefined;
  const end = (why: string) => {
    verdict ??= why;
    endGroup(child);
  };
  const whole = setTimeout(() => end(`the file was still running after ${limits.fileMs / 1000} s`), limits.fileMs);
  const startIdle = () =>
    setTimeout(
      () => end(`no test was open for ${limits.idleMs / 1000} s, but the file did not end: something is left open, or blocks`),
      limits.idleMs,
    );
  let idle = startIdle();
  return {
    note: (report) => {
      if (report.kind === "open") open.set(report.test, (open.get(report.test) ?? 0) + 1);
      if (report.kind === "closed") {
        const left = (open.get(report.test) ?? 0) - 1;
        if (left > 0) open.set(report.test, left);
        else open.delete(report.test);
      }
      clearTimeout(idle);
      if (open.size === 0) idle = startIdle();
    },
    verdict: () => verdict,
    stop: () => {
      clearTimeout(whole);
      clearTimeout(idle);
    },
  };
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}

/** Gives what the file started a moment to follow it, then kills it; returns the command lines of what had to be killed. */
async function endLeftovers(child: ChildProcess): Promise<string[]> {
  if (child.pid === undefined) return [];
  const groupId = child.pid;
  try {
    await until(() => membersOf(groupId).length === 0, { what: "the processes of the file to end", timeoutMs: LEFTOVER_GRACE_MS });
    return [];
  } catch {
    const members = membersOf(groupId);
    endGroup(child);
    return members;
  }
}

const LEFTOVER_GRACE_MS = 2_000;

/** Command lines of the living members of a process group. A zombie is dead: in a container nobody may be there to reap it. */
function membersOf(groupId: number): string[] {
  if (process.platform !== "linux") return hasMembers(groupId) ? [`process group ${groupId}`] : [];
  return globSync("/proc/[0-9]*").flatMap((folder) => {
    try {
      const stat = readFileSync(`${folder}/stat`, "utf8");
      // After the name, which may hold anything: state, parent, group.
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(group) !== groupId || state === "Z") return [];
      return [readFileSync(`${folder}/cmdline`, "utf8").replaceAll("\0", " ").trim()];
    } catch {
      // It ended while we looked.
      return [];
    }
  });
}

function hasMembers(groupId: number): boolean {
  try {
    return process.kill(-groupId, 0);
  } catch {
    return false;
  }
}

const KEPT_OUTPUT = 16 * 1024;

function keepTail(child: ChildProcess): { text(): string; closed(limitMs: number): Promise<void> } {
  let tail = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      tail = (tail + chunk).slice(-KEPT_OUTPUT);
    });
  }
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  return {
    text: () => tail.trim(),
    closed: async (limitMs) => {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([closed, new Promise((resolve) => (timer = setTimeout(resolve, limitMs)))]);
      clearTimeout(timer);
    },
  };
}

function nameOf(names: readonly string[]): string {
  return names.join(" › ");
}

function relative(where: string): string {
  return where.startsWith(path.sep) ? path.relative(process.cwd(), where) : where;
}
