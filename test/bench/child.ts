import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { LoadSpec } from "./load.ts";

/** A generator process that has given its first answer. */
export interface Generator<T> extends AsyncDisposable {
  readonly answer: T;
}

const LOAD = new URL("load.ts", import.meta.url).pathname;
const CACHE = new URL("../../node_modules/.cache/hexahub-bench", import.meta.url).pathname;
const MARGIN_MS = 120_000;

/** Rejects with what the process wrote to stderr when it ends, or 2 minutes pass, without an answer. */
export async function startGenerator<T>(spec: LoadSpec): Promise<Generator<T>> {
  // Its types are stripped once and not in every turn.
  const env = { ...process.env, NODE_COMPILE_CACHE: CACHE };
  const child = spawn(process.execPath, [LOAD], { stdio: ["pipe", "pipe", "pipe"], env });
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  };
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-4_000);
  });
  child.stdin.on("error", () => undefined);
  child.stdin.write(`${JSON.stringify(spec)}\n`);
  const answered = once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(MARGIN_MS) });
  const closed = once(child, "close").then(() => {
    throw new Error(`the generator ended without an answer: ${complaint}`);
  });
  try {
    const [line] = (await Promise.race([answered, closed])) as [string];
    closed.catch(() => undefined);
    return { answer: JSON.parse(line) as T, [Symbol.asyncDispose]: end };
  } catch (error) {
    answered.catch(() => undefined);
    await end();
    throw error;
  }
}

/** For a spec that ends with its answer. */
export async function generate<T>(spec: LoadSpec): Promise<T> {
  await using generator = await startGenerator<T>(spec);
  return generator.answer;
}
