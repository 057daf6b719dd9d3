import { mkdtempSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { inspect } from "node:util";

export interface UntilOptions {
  /** What is waited for, in words that make sense after "gave up waiting for". */
  what: string;
  timeoutMs?: number;
}

/**
 * Polls until `check` gives something truthy and returns that. A check that throws or rejects counts as "not yet".
 * After `timeoutMs` (10 s) it throws with `what` and the last value seen; the last error becomes the cause.
 * Works under `mock.timers`, since it holds on to the real timer.
 */
export async function until<T>(check: () => T | Promise<T>, { what, timeoutMs = 10_000 }: UntilOptions): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs;
  let last: { value: unknown } | { error: unknown } | undefined;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) break;
    const answer = await withLimit(check, leftMs);
    if (answer === undefined) break;
    last = answer;
    if ("value" in answer && answer.value) return answer.value as Truthy<T>;
    await pause(Math.min(pauseMs, Math.max(deadline - performance.now(), 0)));
  }
  throw new Error(
    `gave up waiting for ${what} after ${timeoutMs} ms; ${describe(last)}`,
    last && "error" in last ? { cause: last.error } : undefined,
  );
}

export interface TemporaryFolder extends Disposable, AsyncDisposable {
  readonly path: string;
}

/** A new empty folder (mode 0700) that is gone, with everything in it, when the block ends: `await using folder = temporaryFolder()`. */
export function temporaryFolder(name = "hexahub"): TemporaryFolder {
  const folder = mkdtempSync(path.join(tmpdir(), `${name}-`));
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };
  return {
    path: folder,
    [Symbol.dispose]: () => rmSync(folder, options),
    [Symbol.asyncDispose]: () => rm(folder, options),
  };
}

type Truthy<T> = Exclude<Awaited<T>, false | null | undefined | 0 | "">;

// Kept from before any test could replace it.
const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    realSetTimeout(resolve, ms);
  });
}

/** One round of the check; undefined when it did not come back in time. */
async function withLimit<T>(check: () => T | Promise<T>, limitMs: number): Promise<{ value: T } | { error: unknown } | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = realSetTimeout(() => resolve(undefined), limitMs);
  });
  try {
    return await Promise.race([Promise.resolve(check()).then((value) => ({ value })), late]);
  } catch (error) {
    return { error };
  } finally {
    realClearTimeout(timer);
  }
}

function describe(last: { value: unknown } | { error: unknown } | undefined): string {
  if (last === undefined) return "the check never came back";
  if ("error" in last) return `last error: ${last.error instanceof Error ? last.error.message : inspect(last.error)}`;
  return `last seen: ${inspect(last.value, { depth: 4, breakLength: 120 })}`;
}
