import { Worker } from "node:worker_threads";
import { HubError } from "../core/errors.ts";
import type { PasswordReply, PasswordRequest } from "./password-worker.ts";

/** bcrypt reads no further than this, so a longer password would be silently cut. */
const MAX_BYTES = 72;
const MIN_CHARACTERS = 8;
const MAX_WAITING = 32;
const IDLE_MS = 20_000;
/** A hash that no password has, for the time a comparison takes. */
const NOBODYS_HASH = "$2b$12$P9hPJqdILaUEHV/YOUiS2eblWrzpygaCblG777Da5cNbxq6jWpk.e";

/** bcrypt, cost 12. Throws `validation_error` below 8 characters and above 72 bytes, `rate_limited` when too many wait. */
export async function hashPassword(plain: string): Promise<string> {
  if (Array.from(plain).length < MIN_CHARACTERS)
    throw new HubError("validation_error", `a password has at least ${MIN_CHARACTERS} characters`);
  if (Buffer.byteLength(plain) > MAX_BYTES) throw new HubError("validation_error", `a password has at most ${MAX_BYTES} bytes`);
  const reply = await thread.ask({ plain });
  if (!("hash" in reply)) throw new Error("the password thread answered something else");
  return reply.hash;
}

export async function verifyPassword(plain: string, hash: string): Promise<boolean> {
  const fits = Buffer.byteLength(plain) <= MAX_BYTES;
  const reply = await thread.ask(fits ? { plain, hash } : { plain: "", hash: NOBODYS_HASH });
  return fits && "matches" in reply && reply.matches;
}

/** Takes as long as {@link verifyPassword}, so that an unknown user is answered no sooner than a known one. */
export async function spendPasswordTime(): Promise<void> {
  await thread.ask({ plain: "", hash: NOBODYS_HASH });
}

/** Starts its worker when it is asked, ends it when nobody has asked for a while, and never keeps the process alive. */
class PasswordThread {
  readonly #waiting = new Map<number, PromiseWithResolvers<PasswordReply>>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #lastId = 0;

  async ask(request: Omit<PasswordRequest, "id">): Promise<PasswordReply> {
    if (this.#waiting.size >= MAX_WAITING) throw new HubError("rate_limited", "too many passwords are being checked at once");
    clearTimeout(this.#idle);
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<PasswordReply>();
    this.#waiting.set(id, answer);
    const worker = (this.#worker ??= this.#start());
    worker.ref();
    worker.postMessage({ id, ...request } satisfies PasswordRequest);
    return await answer.promise;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./password-worker.ts", import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    worker.on("message", (reply: PasswordReply) => {
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
      if (this.#waiting.size === 0) this.#rest(worker);
    });
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("the password thread has ended")));
    return worker;
  }

  #rest(worker: Worker): void {
    worker.unref();
    this.#idle = setTimeout(() => {
      this.#worker = undefined;
      void worker.terminate();
    }, IDLE_MS).unref();
  }

  #fail(worker: Worker, cause: Error): void {
    // A worker that was retired while idle has nobody waiting for it.
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const answer of this.#waiting.values()) answer.reject(new HubError("unavailable", "passwords cannot be checked", { cause }));
    this.#waiting.clear();
  }
}

const thread = new PasswordThread();
