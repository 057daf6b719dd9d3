import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Log } from "../../core/bus.ts";
import { programOf, redacted } from "./homebridge.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Who ran for so long begins anew with the shortest pause. */
const SOUND_MS = 60_000;
/** The plugin says every five seconds how it is: after half of this it is said not to answer, after all of it it is ended. */
const SILENCE_MS = 60_000;
/** Homebridge ends within 5 s of being asked to. */
const STOP_MS = 6_000;
const MAX_LINE = 500;

/** How a bridge is doing. */
export interface ChildHealth {
  readonly isRunning: boolean;
  readonly isPaired: boolean;
  /** Whether it has reached the hub. */
  readonly isConnected: boolean;
  /** Whether it should have been heard of long ago. */
  readonly isSilent: boolean;
  readonly accessories: number;
  /** Those that HomeKit did not take. */
  readonly unexposed: number;
  readonly restarts: number;
  /** In a row, without being sound in between. */
  readonly failures: number;
  readonly lastError: string | null;
  readonly pid: number | null;
}

export interface ChildContext {
  readonly folder: string;
  /** Writes what Homebridge reads; before each start. */
  prepare(lastError: string | null): Promise<void>;
  /** Something of its health is another than before. */
  changed(): void;
  readonly log: Log;
  readonly silenceMs?: number | undefined;
}

const NOT_STARTED: ChildHealth = {
  isRunning: false,
  isPaired: false,
  isConnected: false,
  isSilent: false,
  accessories: 0,
  unexposed: 0,
  restarts: 0,
  failures: 0,
  lastError: null,
  pid: null,
};

const NOT_THERE = { isRunning: false, isConnected: false, isSilent: false, pid: null } satisfies Partial<ChildHealth>;

interface Silence {
  heard(): void;
  stop(): void;
  /** Set when it was ended for it. */
  readonly complaint: string | undefined;
}

/** One Homebridge, which is started again for as long as it is wanted. */
export class Child {
  readonly #context: ChildContext;
  #health = NOT_STARTED;

  constructor(context: ChildContext) {
    this.#context = context;
  }

  get health(): ChildHealth {
    return this.#health;
  }

  /** Resolves when the signal has aborted and the process is gone. */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#context;
    while (!signal.aborted) {
      const began = performance.now();
      const why = await this.#runOnce(signal).catch((error: unknown) => String(error));
      if (signal.aborted) break;
      const isSound = performance.now() - began > SOUND_MS;
      const failures = isSound ? 1 : this.#health.failures + 1;
      this.#note({ ...NOT_THERE, restarts: this.#health.restarts + 1, failures, lastError: why });
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
      log.warn({ folder: this.#context.folder, why, pauseMs }, "a HomeKit bridge ended and is started again");
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    }
    this.#note(NOT_THERE);
  }

  /** Resolves with what it ended of. */
  async #runOnce(signal: AbortSignal): Promise<string> {
    await this.#context.prepare(this.#health.lastError);
    const { file, args, execArgv } = programOf(this.#context.folder);
    // Without the hub's own environment, which has its secrets in it.
    const env = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: this.#context.folder };
    const child = fork(file, args, { execArgv, env, cwd: this.#context.folder, stdio: ["ignore", "pipe", "pipe", "ipc"] });
    const gone = once(child, "exit");
    const silence = this.#watch(child);
    const complaint = this.#listen(child, silence);
    let kill: NodeJS.Timeout | undefined;
    const stop = (): void => {
      child.kill("SIGTERM");
      kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      const [code, by] = (await gone) as [number | null, string | null];
      return silence.complaint ?? complaint() ?? `Homebridge ended with ${by ?? code}`;
    } finally {
      clearTimeout(kill);
      silence.stop();
      signal.removeEventListener("abort", stop);
    }
  }

  /** Ends one that hangs. */
  #watch(child: ChildProcess): Silence {
    const { silenceMs = SILENCE_MS } = this.#context;
    let complaint: string | undefined;
    const end = setTimeout(() => {
      complaint = `Homebridge hung: nothing was heard of it for ${silenceMs / 1_000} s`;
      child.kill("SIGKILL");
    }, silenceMs);
    const quiet = setTimeout(() => this.#note({ isConnected: false, isSilent: true }), silenceMs / 2);
    return {
      heard: () => [end, quiet].forEach((timer) => timer.refresh()),
      stop: () => [end, quiet].forEach((timer) => clearTimeout(timer)),
      get complaint() {
        return complaint;
      },
    };
  }

  /** Follows what it says of itself; gives what it complained of last. */
  #listen(child: ChildProcess, silence: Silence): () => string | undefined {
    const { log, folder } = this.#context;
    let complaint: string | undefined;
    child.on("message", (message) => {
      const { id, data } = (message ?? {}) as { id?: unknown; data?: Readonly<Record<string, unknown>> };
      if (id === "serverStatusUpdate" && data?.["status"] === "ok")
        this.#note({ isRunning: true, isPaired: data["paired"] === true, pid: child.pid ?? null });
      if (id !== "hexahub" || !data) return;
      silence.heard();
      const { hub, accessories, unexposed } = data;
      this.#note({ isConnected: hub === true, isSilent: false, accessories: Number(accessories), unexposed: Number(unexposed) });
    });
    // They have to be read, or it stops when the pipe is full.
    child.stdout?.resume();
    const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream });
    lines.on("line", (line) => {
      const said = redacted(line).slice(0, MAX_LINE);
      if (/error/i.test(said)) complaint = said.trim();
      log.debug({ folder, said }, "said by a HomeKit bridge");
    });
    return () => complaint;
  }

  #note(news: Partial<ChildHealth>): void {
    const health = { ...this.#health, ...news };
    if (isDeepStrictEqual(health, this.#health)) return;
    this.#health = health;
    this.#context.changed();
  }
}
